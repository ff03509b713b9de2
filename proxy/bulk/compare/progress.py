"""How far a comparison is, as the runner of bulk commands asks for it; all of it is in the database."""

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
    """Tracks the originals of a comparison; it walks the whole listing, whatever is done already."""

    after: Final = ""
    listed_before: Final = 0
    stop_reason: Final = ""

    def __init__(self, database: FindingsDatabase) -> None:
        self._database = database
        self._underway: set[str] = set()
        self.tally = database.tally()

    def __len__(self) -> int:
        """Count the originals that are underway."""
        return len(self._underway)

    async def begin(self, key: str) -> bool:
        """Begin an original; return False if it is compared or underway."""
        if key in self._underway or await self._database.has(key):
            return False
        self._underway.add(key)
        return True

    def failure(self, key: str, error: ImagesError) -> ComparedOriginal:
        """Raise the error: what is wrong with a pair is a finding, what is wrong otherwise ends the comparison."""
        del key
        raise error

    async def record(self, outcome: ComparedOriginal) -> Sequence[Event]:
        """Store the findings of an original; return the events that report them."""
        await self._database.add(outcome)
        self._underway.discard(outcome.key)
        self.tally.add(outcome)
        return [
            Differs(key=finding.key, size=finding.size, why={cause.code: cause.detail for cause in finding.causes})
            for finding in outcome.findings
        ]

    async def save(self) -> None:
        """Do nothing: every outcome is stored as it is recorded."""
