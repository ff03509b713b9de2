"""What page views need not find out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import Refused
from proxy.errors import DeadlineExceeded, DiedAgain, ImagesError, ProcessDied, TooManyBytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.concurrency.ttl_cache import TtlCache

TOLERATED_FAILURES: Final[Mapping[type[Exception], int]] = {
    Refused: 0,
    TooManyBytes: 0,
    DeadlineExceeded: 2,  # the machine may have been busy
    ProcessDied: 1,  # by chance once, by its original twice
}
"""How often something may go wrong with the same bytes of an original before it is not tried any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFailure:
    """What is wrong with an original, of which bytes that was found, and how often."""

    kind: type[Refused | ImagesError]
    detail: str
    etag: str
    times: int = 1

    @property
    def is_settled(self) -> bool:
        """Whether it went wrong often enough to be not tried any more."""
        return self.times > _tolerated(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivativeCache:
    """What page views need not find out again: derivatives that are there, originals that are not or cannot be."""

    known: TtlCache[bool]
    absent: TtlCache[str]
    failures: TtlCache[CachedFailure]

    def settled_failure(self, original: str) -> CachedFailure | None:
        """Tell what is wrong with an original for good, as long as its bytes stay the same."""
        failure = self.failures.get(original)
        return failure if failure and failure.is_settled else None

    def record_failure(self, original: str, fault: Refused | ImagesError, *, etag: str) -> Refused | ImagesError:
        """Remember a fault that follows from an original's bytes; give it as it should be told.

        A render process that dies under the same bytes once more is no accident any more.
        """
        if not any(isinstance(fault, kind) for kind in TOLERATED_FAILURES):
            return fault
        before = self.failures.get(original)
        # What was found to be of a kind of its own (DiedAgain) is told as it is at first (ProcessDied).
        is_again = before is not None and before.etag == etag and issubclass(before.kind, type(fault))
        times = before.times + 1 if before and is_again else 1
        if isinstance(fault, ProcessDied) and times > _tolerated(ProcessDied):
            fault = DiedAgain("Rendering this original ends the render process; replace it, then ask again.")
        failure = CachedFailure(kind=type(fault), detail=str(fault), etag=etag, times=times)
        self.failures.put(original, failure)
        return fault

    def mark_stale(self, original: str, *derivatives: str) -> None:
        """Forget what was wrong with an original; have these derivatives looked for again, as far as anybody can."""
        self.evict(original)
        for key in derivatives:
            self.known.mark_stale(key)

    def evict(self, original: str, *derivatives: str) -> None:
        """Forget what was wrong with an original, so that it is tried again, and that these derivatives are there."""
        self.absent.evict(original)
        self.failures.evict(original)
        for key in derivatives:
            self.known.evict(key)


def _tolerated(kind: type[Exception]) -> int:
    return next(times for other, times in TOLERATED_FAILURES.items() if issubclass(kind, other))
