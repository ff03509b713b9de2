"""The cache that page views read before they query the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import Refused
from proxy.derivatives.results import Location
from proxy.errors import DeadlineExceeded, DiedAgain, ImagesError, ProcessDied, TooManyBytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.concurrency.ttl_cache import TtlCache
    from proxy.stores.remembered import RememberedBlobs

TOLERATED_FAILURES: Final[Mapping[type[Exception], int]] = {
    Refused: 0,
    TooManyBytes: 0,
    DeadlineExceeded: 2,  # the machine may have been busy
    ProcessDied: 1,  # once may be an accident, twice is caused by the original
}
"""How many failures of each kind the same bytes may cause before page views are refused without another attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFailure:
    """A failure of an original, the ETag of the bytes that caused it, and how often it occurred."""

    kind: type[Refused | ImagesError]
    detail: str
    etag: str
    times: int = 1

    @property
    def is_settled(self) -> bool:
        """Whether it occurred often enough that page views do not try again."""
        return self.times > _tolerated(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivativeCache:
    """Caches of existing derivatives, missing originals, originals that failed, and what was read of derivatives."""

    known: TtlCache[str]
    """The versions of existing derivatives; empty if unknown."""
    absent: TtlCache[str]
    failures: TtlCache[CachedFailure]
    remembered: RememberedBlobs

    def knows(self, *keys: str) -> bool:
        """Return whether any of these derivatives exists, or did so within the stale period."""
        return any(self.known.get_stale(key) is not None for key in keys)

    def stale_location(self, key: str) -> Location | None:
        """Return where a derivative is that exists, or did so within the stale period, or None."""
        version = self.known.get_stale(key)
        return None if version is None else Location(key=key, source="cache", version=version)

    def settled_failure(self, *keys: str) -> CachedFailure | None:
        """Return the failure that rules out another attempt while the bytes stay the same, or None.

        The keys are that of the original, and those of derivatives that may have failed alone.
        """
        failures = map(self.failures.get, keys)
        return next((failure for failure in failures if failure and failure.is_settled), None)

    def record_failure(self, key: str, fault: Refused | ImagesError, *, etag: str) -> Refused | ImagesError:
        """Cache a failure caused by an original's bytes, and return the error to report.

        The key is that of the original, or that of a derivative that failed alone.
        Other errors are returned as they are. A render process that dies a second time under the same bytes is reported
        as `DiedAgain`.
        """
        if not any(isinstance(fault, kind) for kind in TOLERATED_FAILURES):
            return fault
        before = self.failures.get(key)
        # A repeated death is cached as DiedAgain but occurs as ProcessDied, hence the check for a subclass.
        is_again = before is not None and before.etag == etag and issubclass(before.kind, type(fault))
        times = before.times + 1 if before and is_again else 1
        if isinstance(fault, ProcessDied) and times > _tolerated(ProcessDied):
            fault = DiedAgain("Rendering this original crashed repeatedly; replace it, then try again.")
        failure = CachedFailure(kind=type(fault), detail=str(fault), etag=etag, times=times)
        self.failures.put(key, failure)
        return fault

    def mark_stale(self, original: str, *derivatives: str) -> None:
        """Evict the cached failure or absence of an original, and mark these derivatives stale."""
        self.evict(original)
        for key in derivatives:
            self.failures.evict(key)
            self.known.mark_stale(key)
            self.remembered.evict(key)

    def evict(self, original: str, *derivatives: str) -> None:
        """Evict the cached failure or absence of an original, and these derivatives."""
        self.absent.evict(original)
        self.failures.evict(original)
        for key in derivatives:
            self.failures.evict(key)
            self.known.evict(key)
            self.remembered.evict(key)


def _tolerated(kind: type[Exception]) -> int:
    return next(times for other, times in TOLERATED_FAILURES.items() if issubclass(kind, other))
