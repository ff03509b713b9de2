"""Opens messages of Amazon SNS: verifies each, and confirms a subscription."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
import structlog

from proxy.concurrency.ttl_cache import TtlCache
from proxy.errors import BadSignature, SnsUnreachable
from proxy.intake.events.sns.messages import read_message
from proxy.intake.events.sns.signing_keys import PublicKey, key_of_certificate

if TYPE_CHECKING:
    from proxy.intake.events.sns.messages import SnsMessage
    from proxy.intake.events.sns.signing_keys import Hash

log = structlog.get_logger(__name__)

FETCH_SECONDS: Final = 3.0
"""The timeout to fetch a certificate, or to confirm a subscription."""

MAX_FETCHED_BYTES: Final = 64 << 10
"""More than any certificate, or any answer to a confirmation."""

CERTIFICATES, CERTIFICATE_SECONDS = 16, 86_400.0
"""How many keys are kept, and for how long; Amazon replaces them about once a year, under another address."""

_HOST: Final = re.compile(r"sns\.[a-z0-9-]{4,32}\.amazonaws\.com(\.cn)?")
"""The hosts of SNS itself: other names below amazonaws.com are buckets and machines of customers."""


class SnsInbox:
    """Opens messages of SNS, if they are signed with a certificate from a host of SNS."""

    def __init__(self, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport
        self._keys: TtlCache[PublicKey] = TtlCache(entries=CERTIFICATES, seconds=CERTIFICATE_SECONDS)

    async def open(self, document: bytes) -> bytes | None:
        """Return the document inside of a message; another document is returned as it is.

        A message about the subscription itself has none: a subscription is confirmed, its end is logged.

        Raises:
            BadEvent: it is a message that lacks a field.
            BadSignature: it is not signed by SNS.
            SnsUnreachable: the certificate or the confirmation could not be fetched.
        """
        message = read_message(document)
        if message is None:
            return document
        await self._verify(message)
        if message.type == "Notification":
            return message.message.encode()
        if message.type == "SubscriptionConfirmation":
            await self._fetch(_checked(message.subscribe_url))
            log.info("sns_subscription_confirmed", topic=message.topic_arn)
        else:
            log.warning("sns_subscription_ended", topic=message.topic_arn)
        return None

    async def _verify(self, message: SnsMessage) -> None:
        url = _checked(message.signing_cert_url)
        key = self._keys.get(url)
        if key is None:
            key = key_of_certificate((await self._fetch(url)).decode("ascii", errors="replace"))
            self._keys.put(url, key)
        digest: Hash = "sha1" if message.signature_version == "1" else "sha256"
        key.verify(message.signed_text(), _decoded(message.signature), digest=digest)

    async def _fetch(self, url: str) -> bytes:
        """Fetch a small file; redirects are not followed, and proxies of the environment are not used."""
        transport = self._transport or httpx.AsyncHTTPTransport(verify=httpx.create_ssl_context())
        fetched = bytearray()
        try:
            async with (
                httpx.AsyncClient(transport=transport, timeout=FETCH_SECONDS, trust_env=False) as client,
                client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
            ):
                answer.raise_for_status()
                async for chunk in answer.aiter_bytes():
                    fetched += chunk
                    if len(fetched) > MAX_FETCHED_BYTES:
                        raise SnsUnreachable("The answer of SNS is too long; this service expects a certificate.")
        except httpx.HTTPError as fault:
            raise SnsUnreachable(f"The answer of SNS could not be fetched ({type(fault).__name__}).") from fault
        return bytes(fetched)


def _checked(url: str) -> str:
    """Return a URL of SNS.

    Raises:
        BadSignature: it is one of another host, or not over HTTPS.
    """
    try:
        parts = urlsplit(url)
        is_sns = parts.scheme == "https" and bool(_HOST.fullmatch(parts.netloc))
    except ValueError:
        is_sns = False
    if not is_sns:
        raise BadSignature("The SNS message names a URL that is not one of https://sns.<region>.amazonaws.com.")
    return url


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise BadSignature("The signature of the SNS message is not base64.") from fault
