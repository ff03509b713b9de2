"""The progress of a comparison, for the runner of bulk commands; it is stored in the database of findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.bulk.checkpoint import IN_A_ROW
from proxy.bulk.compare.causes import Tolerance, causes
from proxy.bulk.compare.comparison_events import Differs
from proxy.bulk.compare.findings import ComparedOriginal, Finding, Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.bulk.compare.findings_database import FindingsDatabase
    from proxy.bulk.events import Event
    from proxy.errors import ImagesError


class ComparisonProgress:
    """The progress of a comparison; the listing always starts at the first original, and `begin` skips done ones."""

    after: Final = ""
    listed_before: Final = 0
    stop_reason: Final = ""

    def __init__(self, database: FindingsDatabase, *, sizes: tuple[str, ...]) -> None:
        self._database = database
        self._sizes = sizes
        self._failed_in_a_row = 0
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
        """Return the outcome of an original that could not be compared, or raise the error of the last one in a row."""
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= IN_A_ROW:
            raise error
        pair = Pair(old=None, new=None, trouble=str(error))
        found = causes(pair, Tolerance())
        return ComparedOriginal(
            key=key,
            findings=tuple(Finding(key=key, size=size, causes=found, pair=pair) for size in self._sizes),
            identities=("",) * len(self._sizes),
        )

    async def record(self, outcome: ComparedOriginal) -> Sequence[Event]:
        """Store the findings of an original; return the events that report them."""
        await self._database.add(outcome)
        self._underway.discard(outcome.key)
        if not outcome.findings or any(not finding.pair.trouble for finding in outcome.findings):
            self._failed_in_a_row = 0
        self.tally.add(outcome)
        return [
            Differs(key=finding.key, size=finding.size, causes={cause.code: cause.detail for cause in finding.causes})
            for finding in outcome.findings
        ]

    async def save(self) -> None:
        """Do nothing: `record` stores each outcome."""
