"""How requests are signed, as security schemes and as parameters of the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar.openapi.spec import Parameter, Schema, SecurityScheme
from litestar.openapi.spec.enums import OpenAPIType

from proxy.webhooks.signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.http.document.operations import Signing

SIGNED: Final = "signed"

SCHEMES: Final[Mapping[str, SecurityScheme]] = {
    SIGNED: SecurityScheme(
        type="apiKey",
        security_scheme_in="header",
        name=SIGNATURE_HEADER,
        description="`v1,` and the HMAC-SHA256 in base64 of `<webhook-id>.<webhook-timestamp>.<content>`. Its key is "
        "what follows `whsec_`, decoded from base64. The content is the body or, without a body, the method, a space "
        "and the path with the query. See standardwebhooks.com.",
    ),
    "bearer": SecurityScheme(type="http", scheme="bearer", description="The token of EVENTS_TOKEN."),
    "basic": SecurityScheme(
        type="http", scheme="basic", description="The token of EVENTS_TOKEN as the password; the name is not read."
    ),
    "token": SecurityScheme(
        type="apiKey",
        security_scheme_in="query",
        name="token",
        description="The token of EVENTS_TOKEN, for senders that can send no header.",
    ),
}

EXAMPLES: Final[Mapping[str, str]] = {
    ID_HEADER: "msg_1",
    TIMESTAMP_HEADER: "1764547200",
    SIGNATURE_HEADER: "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}

_DESCRIPTIONS: Final[Mapping[str, str]] = {
    ID_HEADER: "A name for this message. The same name, sent again, has no second effect.",
    TIMESTAMP_HEADER: "When the message was signed, in seconds since 1970. Clocks may differ by five minutes.",
    SIGNATURE_HEADER: "One or more signatures, separated by spaces; one has to match.",
}

_PATTERNS: Final[Mapping[str, str]] = {
    ID_HEADER: r"^[!-~]+$",
    TIMESTAMP_HEADER: r"^[0-9]{10}$",
    SIGNATURE_HEADER: r"^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$",
}


def signature_headers(*, required: bool) -> list[Parameter]:
    """Return the headers of a signed message, as parameters."""
    return [
        Parameter(
            name=name,
            param_in="header",
            required=required,
            description=_DESCRIPTIONS[name],
            schema=Schema(type=OpenAPIType.STRING, pattern=_PATTERNS[name], examples=[EXAMPLES[name]]),
        )
        for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    ]


def security(signing: Signing | None, *, is_open: bool) -> list[dict[str, list[str]]]:
    """Return what an operation requires; one of the entries suffices. Without secrets, nothing is required."""
    if signing is None:
        return []
    if signing == "token":
        return [{"bearer": []}, {"basic": []}, {"token": []}]
    return [{}, {SIGNED: []}] if is_open else [{SIGNED: []}]
