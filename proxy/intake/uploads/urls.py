"""The URLs of uploads: an order with its id and its end, signed, so that no process has to remember it."""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.errors import BadUploadUrl, UploadUrlEnded
from proxy.intake.uploads.order import UploadOrder  # noqa: TC001 - msgspec reads the type of a grant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATH: Final = "/v1/uploads"

URL_SECONDS: Final = 600.0
"""How long a URL is valid: a person chooses a file, and the page sends it."""

PURPOSE: Final = b"gallformers-images upload url 1\n"
"""What the secret of upload URLs is derived from, with the secret of webhooks: no signature is valid as the other."""


class UploadGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload URL permits: `order`, once for all URLs with this id, until `expires_at`.

    Times are in seconds since the epoch; `ordered_at` is when the site signed the order.
    """

    id: str
    ordered_at: int
    expires_at: int
    order: UploadOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadUrl:
    """The URL of an upload, and when it ends, in seconds since the epoch."""

    url: str
    expires_at: int


class UploadUrls:
    """The upload URLs of a service below `base_url`, which may be only a path.

    They are signed with the first of `secrets`, and valid with any. Without secrets, they are valid only for the
    process that issued them. Services with the same secrets accept no URLs of each other if their `origin` differs.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        origin: str = "",
        base_url: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        known = secrets or [random.token_hex(32)]
        self._keys = [hmac.digest(secret.encode(), PURPOSE + origin.encode(), "sha256") for secret in known]
        self._base_url = base_url
        self._clock = clock

    def issue(self, order: UploadOrder, *, message_id: str | None, ordered_at: int) -> UploadUrl:
        """Return a URL for an order; the same message gets URLs of which only one can be used."""
        expires_at = int(self._clock() + URL_SECONDS)
        used = hashlib.sha256(message_id.encode()).hexdigest()[:32] if message_id else random.token_hex(16)
        grant = UploadGrant(id=used, ordered_at=ordered_at, expires_at=expires_at, order=order)
        payload = _encoded(msgspec.json.encode(grant))
        signature = _signature(self._keys[0], payload)
        return UploadUrl(url=f"{self._base_url}{PATH}/{payload}.{signature}", expires_at=expires_at)

    def read(self, token: str) -> UploadGrant:
        """Return what the last segment of a URL permits.

        Raises:
            BadUploadUrl: this service did not issue it, or it was changed.
            UploadUrlEnded: it has expired.
        """
        payload, _, signature = token.partition(".")
        if not any(hmac.compare_digest(_signature(key, payload).encode(), signature.encode()) for key in self._keys):
            raise BadUploadUrl("This service did not issue the upload URL, or it was changed; order another one.")
        grant = msgspec.json.decode(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=UploadGrant)
        if grant.expires_at <= self._clock():
            raise UploadUrlEnded("The upload URL has expired; order another one.")
        return grant


def _signature(key: bytes, payload: str) -> str:
    return _encoded(hmac.digest(key, payload.encode(), "sha256"))


def _encoded(plain: bytes) -> str:
    return urlsafe_b64encode(plain).rstrip(b"=").decode()
