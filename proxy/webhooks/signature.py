"""Webhook signatures of the Standard Webhooks scheme (standardwebhooks.com), HMAC-SHA256."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from standardwebhooks import Webhook, WebhookVerificationError

from proxy.errors import BadSignature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_OFF = re.compile("timestamp too (old|new)")
"""The message of the library for a timestamp that is too far off."""

ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"


class Verifier:
    """A verifier of signed bodies; it accepts several secrets, so that a new one works before the old one is removed.

    Secrets are `whsec_` followed by base64. The scheme tolerates clocks that differ by 5 minutes. If `origin` is not
    empty, requests without a body have to sign it as a part of their address: a request for another service that knows
    the same secret is then not valid for this one.
    """

    def __init__(self, secrets: Sequence[str], *, origin: str = "") -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]
        self._origin = origin.encode()

    @property
    def is_open(self) -> bool:
        """True if no secret is configured, so that every client may post."""
        return not self._webhooks

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Raise unless `body` is signed with one of the secrets; if none is configured, accept everything.

        Raises:
            BadSignature: a header is missing, the timestamp is too far off, or no signature matches.
        """
        self._verify_any([body], headers, what="the body, byte for byte")

    def signed_at(self, headers: Mapping[str, str]) -> int:
        """Return when a message that was verified was signed, in seconds since the epoch; now if none is signed."""
        return int(time.time()) if self.is_open else int(float(headers[TIMESTAMP_HEADER]))

    def verify_address(self, addresses: Sequence[bytes], headers: Mapping[str, str]) -> None:
        """Raise unless one of the spellings of a request's method and address is signed; see `verify`.

        A spelling is the method, a space, and the path with the query.

        Raises:
            BadSignature: a header is missing, the timestamp is too far off, or no signature matches.
        """
        contents = [self._with_origin(address) for address in addresses]
        part = "address" if self._origin else "path with the query"
        shown = contents[0].decode(errors="replace")
        self._verify_any(contents, headers, what=f"{shown!r}, its method and {part}, as it has no body")

    def _with_origin(self, address: bytes) -> bytes:
        method, _, path = address.partition(b" ")
        return method + b" " + self._origin + path

    def _verify_any(self, contents: Sequence[bytes], headers: Mapping[str, str], *, what: str) -> None:
        if self.is_open:
            return
        reasons = [_fault(webhook, content, headers) for content in contents for webhook in self._webhooks]
        if all(reasons):
            if _OFF.search(str(reasons[0])):
                raise BadSignature(
                    f"{reasons[0]}: {TIMESTAMP_HEADER} must be within 5 minutes of the clock of this service, as "
                    "standardwebhooks.com describes. Sign each request when it is sent; set the clock of the sender."
                )
            raise BadSignature(
                f"{reasons[0]}; this request must sign {what}, as standardwebhooks.com describes, with a secret that "
                "this service knows."
            )


class Signer:
    """A signer that uses every secret, so that receivers may verify with any of them during a rotation."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]

    def headers(self, body: str, *, message_id: str, at: datetime) -> dict[str, str]:
        """Return the headers that sign `body` as sent at the time `at`, which has to be in UTC."""
        return {
            ID_HEADER: message_id,
            TIMESTAMP_HEADER: str(int(at.timestamp())),
            SIGNATURE_HEADER: " ".join(webhook.sign(message_id, at, body) for webhook in self._webhooks),
        }


def _fault(webhook: Webhook, body: bytes, headers: Mapping[str, str]) -> str | None:
    if missing := [name for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER) if not headers.get(name)]:
        return f"Missing: {', '.join(missing)}"
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    except WebhookVerificationError as fault:
        return str(fault).replace("Invalid Signature Headers", f"{TIMESTAMP_HEADER} must be seconds since 1970")
    except UnicodeDecodeError:  # the library catches neither this nor a signature that is not base64
        return "The body is not UTF-8"
    except ValueError:
        return f"{SIGNATURE_HEADER} must be v1, a comma, and base64"
    return None
