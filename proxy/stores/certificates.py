"""The certificates that the stores trust, and messages about those that they do not."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TYPE_CHECKING, Final, cast

from proxy.errors import StoreRefused, Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLES: Final = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a file of trusted authorities. Each client library reads only one of them; here both count for
the bucket, for the origin and for the public URL."""

ISSUER_SECONDS: Final = 3.0
"""How long a server may take to show its certificate."""

MAX_ISSUER: Final = 200
"""How many characters of an issuer's name are shown."""

_HTTPS_PORT: Final = 443


def trust_bundles(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make `context` trust the authorities in the files of `BUNDLES` too, and return it.

    Raises:
        StoreRefused: a file cannot be read, or has no certificates; the message begins with the variable.
    """
    for name in BUNDLES:
        if path := os.environ.get(name):
            try:
                context.load_verify_locations(cafile=path)
            except OSError as error:
                why = "it has no certificates" if isinstance(error, ssl.SSLError) else os.strerror(error.errno or 0)
                raise StoreRefused(
                    f"{name}: {path} cannot be used: {why}; set a file of certificates in PEM format.",
                    brief="its file of certificates cannot be used",
                ) from error
    return context


def client_context() -> ssl.SSLContext:
    """Return the context of an httpx client that also trusts the authorities in the files of `BUNDLES`.

    It reads files: call it in a thread.

    Raises:
        StoreRefused: see `trust_bundles`.
    """
    import httpx  # noqa: PLC0415 - it costs memory that a service without such clients saves

    return trust_bundles(httpx.create_ssl_context())


def certificate_fault(error: BaseException, *, host: str = "", port: int | None = None) -> StoreRefused | None:
    """Return the error about certificates among the causes of `error`, or None: one is not trusted, or a file is bad.

    `host` and `port` are those of the server, if no cause names them.
    """
    causes = [*_causes(error)]
    if bad_file := next((one for one in causes if isinstance(one, StoreRefused)), None):  # by `trust_bundles`
        return bad_file
    # aiohttp has a subclass of this error, without the message.
    verifications = (one for one in causes if isinstance(one, ssl.SSLCertVerificationError))
    cause = next((one for one in verifications if hasattr(one, "verify_message")), None)
    if cause is None:
        return None
    named = next((one for one in causes if isinstance(getattr(one, "host", None), str)), None)
    host, port = getattr(named, "host", host), getattr(named, "port", port) or _HTTPS_PORT
    return Untrusted(
        f"The certificate of {host}:{port} is not trusted: {cause.verify_message}. If its authority is your own, name "
        f"its file in {' or '.join(BUNDLES)}.",
        host=host,
        port=port,
    )


async def with_issuer(fault: Untrusted) -> Untrusted:
    """Return `fault` with the issuer of the certificate in its message, if the server shows it in time."""
    try:
        async with asyncio.timeout(ISSUER_SECONDS):
            issuer = await _issuer(fault.host, fault.port)
    except (OSError, ValueError):  # a timeout is an OSError
        return fault
    named = str(fault).replace(" is not trusted", f", issued by {issuer}, is not trusted", 1)
    return Untrusted(named, host=fault.host, port=fault.port)


async def _issuer(host: str, port: int) -> str:
    """Return the issuer of a server's certificate.

    Python decodes only certificates that it has verified. So the certificate is fetched, and then verified against
    itself.
    """
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    shown.check_hostname, shown.verify_mode = False, ssl.CERT_NONE
    certificate = (await _handshake(host, port, shown)).getpeercert(binary_form=True)
    itself = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    itself.check_hostname = False
    itself.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    itself.load_verify_locations(cadata=certificate or b"")
    decoded = (await _handshake(host, port, itself)).getpeercert() or {}
    issuer = cast("tuple[tuple[tuple[str, str], ...], ...]", decoded.get("issuer", ()))
    parts = [value for pairs in issuer for _, value in pairs]
    return "".join(one for one in ", ".join(parts) if one.isprintable())[:MAX_ISSUER] or "an issuer without a name"


async def _handshake(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLObject:
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return tls
    finally:
        writer.close()


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
