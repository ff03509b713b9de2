"""The progress of a comparison, for the runner of bulk commands; it is stored in the database of findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.bulk.compare.comparison_events import Differs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.bulk.compare.findings import ComparedOriginal
    from proxy.bulk.compare.findings_database import FindingsDatabase
    from proxy.bulk.events import Event
    from proxy.errors import ImagesError


class ComparisonProgress:
    """The progress of a comparison; the listing always starts at the first original, and `begin` skips done ones."""

    after: Final = ""
    listed_before: Final = 0
    stop_reason: Final = ""

    def __init__(self, database: FindingsDatabase) -> None:
        self._database = database
        self._underway: set[str] = set()
        self.tally = database.tally()

    def __len__(self) -> int:
        """Return how many originals are in progress."""
        return len(self._underway)

    async def begin(self, key: str) -> bool:
        """Start an original; return False if it is compared or in progress."""
        if key in self._underway or await self._database.has(key):
            return False
        self._underway.add(key)
        return True

    def failure(self, key: str, error: ImagesError) -> ComparedOriginal:
        """Raise the error: errors of one pair are findings, all others end the comparison."""
        del key
        raise error

    async def record(self, outcome: ComparedOriginal) -> Sequence[Event]:
        """Store the findings of an original; return the events that report them."""
        await self._database.add(outcome)
        self._underway.discard(outcome.key)
        self.tally.add(outcome)
        return [
            Differs(key=finding.key, size=finding.size, causes={cause.code: cause.detail for cause in finding.causes})
            for finding in outcome.findings
        ]

    async def save(self) -> None:
        """Do nothing: `record` stores each outcome."""
