"""What a comparison tells of itself while it goes on."""

from __future__ import annotations

from proxy.bulk.events import Event


class ComparisonStarted(Event, frozen=True, kw_only=True, tag="began"):
    """A comparison begins, or goes on after so many originals."""

    old: str
    new: str
    sizes: tuple[str, ...]
    seen_to: int = 0


class Differs(Event, frozen=True, kw_only=True):
    """A derivative is not the same on both sides; `why` gives a sentence for each cause."""

    key: str
    size: str
    why: dict[str, str]


class ComparisonEnded(Event, frozen=True, kw_only=True, tag="ended"):
    """The comparison is over; `is_finished` says whether it came to its end, `causes` counts derivatives by cause.

    Of those that are `different`, `excused` have only causes that are allowed.
    """

    is_finished: bool
    is_within_budget: bool
    originals: int
    alike: int
    different: int
    excused: int
    absent: int
    causes: dict[str, int]
    seconds: float
    report: str

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to compare, which says nothing of either side."""
        return not self.alike + self.different
