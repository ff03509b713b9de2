"""Invalidations of CloudFront's cache (Amazon CloudFront API, version 2020-05-31)."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from proxy.errors import CdnPurgeFailed, CdnPurgeRefused, StoreRefused, StoreUnavailable
from proxy.removal.cdn.api import CdnApi
from proxy.removal.cdn.invalidation_xml import error_code, invalidation_of, written

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from proxy.removal.cdn.invalidation_xml import Invalidation
    from proxy.stores.s3.signing import RequestSigner

ENDPOINT: Final = "https://cloudfront.amazonaws.com"

REGION: Final = "us-east-1"
"""The region that signs requests to CloudFront, which is global."""

MOST_PATHS: Final = 200
"""How many paths an invalidation has. CloudFront allows 3,000 in progress, of up to 4,000 characters, and repeats them
in its responses."""

MOST_WILDCARDS: Final = 15
"""How many wildcards CloudFront allows in progress."""

POLL_SECONDS: Final = 5.0
COMPLETION_SECONDS: Final = 600.0
"""How long an invalidation may take. It usually takes under two minutes; Amazon's own clients wait for ten."""

_THROTTLED: Final = frozenset(
    {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyInvalidationsInProgress", "TooManyRequests"}
)
"""Codes of transient failures whose status, 400, does not show it."""

_CREDENTIALS: Final = frozenset(
    {
        *("ExpiredToken", "IncompleteSignature", "InvalidClientTokenId", "MissingAuthenticationToken"),
        *("RequestExpired", "SignatureDoesNotMatch"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A request, and the permission that it needs."""

    method: str
    path: str
    permission: str
    body: bytes = b""


class CloudFrontPurger:
    """Invalidates paths of one distribution, and waits until that is completed.

    With `has_versions`, URLs end in a version (`?v=`), and the copies of all versions are removed, by wildcards.
    """

    def __init__(
        self,
        distribution: str,
        *,
        signer: RequestSigner,
        check_url: str,
        has_versions: bool = False,
        endpoint: str = ENDPOINT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invalidations = f"{endpoint}/2020-05-31/distribution/{distribution}/invalidation"
        self._signer = signer
        self._check_url = check_url
        self._wildcard, self._most = ("*", MOST_WILDCARDS) if has_versions else ("", MOST_PATHS)
        self._sleep = sleep
        self._clock = clock
        self._api = CdnApi("CloudFront")

    async def purge(self, urls: Sequence[str]) -> None:
        """Remove CloudFront's copies; see `CdnPurger.purge`.

        Each call is a new invalidation: a repeated reference would return the old one, and remove nothing.
        """
        paths = list(dict.fromkeys(f"{path}{self._wildcard}" for url in urls for path in paths_of(url)))
        for start in range(0, len(paths), self._most):
            created = await self._create(paths[start : start + self._most], reference=uuid.uuid4().hex)
            await self._completed(created)

    async def check(self) -> None:
        """Invalidate a URL of which no one needs a copy; see `CdnPurger.check`.

        The reference is always the same, so that CloudFront creates, and charges, one invalidation for all checks.
        """
        paths = paths_of(self._check_url)
        digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()
        created = await self._create(paths, reference=f"gallformers-images-check-{digest}")
        await self._get(created)

    async def _create(self, paths: Sequence[str], *, reference: str) -> Invalidation:
        body = written(paths, reference=reference)
        return await self._call(_Call(method="POST", path="", permission="cloudfront:CreateInvalidation", body=body))

    async def _get(self, invalidation: Invalidation) -> Invalidation:
        return await self._call(
            _Call(method="GET", path=f"/{invalidation.id}", permission="cloudfront:GetInvalidation")
        )

    async def _completed(self, invalidation: Invalidation) -> None:
        deadline = self._clock() + COMPLETION_SECONDS
        while not invalidation.is_completed:
            if self._clock() >= deadline:
                raise CdnPurgeFailed(f"CloudFront did not complete an invalidation within {COMPLETION_SECONDS:.0f} s.")
            await self._sleep(POLL_SECONDS)
            invalidation = await self._get(invalidation)

    async def _call(self, call: _Call) -> Invalidation:
        url = f"{self._invalidations}{call.path}"
        content_type = {"Content-Type": "application/xml"} if call.body else {}
        try:
            signed = await self._signer.sign(call.method, url, headers=content_type, body=call.body)
        except StoreRefused as fault:
            raise CdnPurgeRefused(f"CDN_PURGE: {fault}") from fault
        except StoreUnavailable as fault:
            raise CdnPurgeFailed(f"CDN_PURGE: {fault}") from fault
        response = await self._api.send(call.method, url, headers=signed.headers, body=call.body)
        if response.is_success:
            return invalidation_of(response.body)
        code = error_code(response.body)
        if code in _CREDENTIALS and await self._signer.renew(signed):
            raise CdnPurgeFailed(f"CloudFront rejected the credentials ({code}); others were found.")
        raise _fault(code, response.status, call.permission)


def paths_of(url: str) -> tuple[str, ...]:
    """Return the paths that invalidate the copy of a URL.

    CloudFront requires that only unsafe characters (RFC 1738) are encoded; our URLs have more of them encoded. Browsers
    may have requested either form. A `*` stays encoded, because it is a wildcard at the end of a path.
    """
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    plain = quote(unquote_to_bytes(parts.path), safe="/!$&'()+,;=:@").replace("~", "%7E")
    return tuple(dict.fromkeys(f"{path}{query}" for path in (parts.path, plain)))


def _fault(code: str, status: int, permission: str) -> CdnPurgeFailed | CdnPurgeRefused:
    said = f"CloudFront rejected the invalidation ({code or 'no error code'}, {status})"
    if code in _THROTTLED or code == "NoSuchInvalidation":  # the one that was just created
        return CdnPurgeFailed(f"{said}; it is retried.")
    if code == "AccessDenied":
        return CdnPurgeRefused(f"{said}: the policy of the credentials must allow {permission} on the distribution.")
    if code == "NoSuchDistribution":
        return CdnPurgeRefused(f"{said}: check the id in CDN_PURGE, and the account of the credentials.")
    if code in _CREDENTIALS:
        return CdnPurgeRefused(
            f"{said}: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and this machine's clock."
        )
    return CdnPurgeRefused(f"{said}: check CDN_PURGE.")
