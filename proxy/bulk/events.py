"""What a run tells of itself while it goes on: one value an event, one JSON line each where a machine listens."""

from __future__ import annotations

from typing import Literal

import msgspec

Result = Literal["made", "fresh", "due", "failed"]
"""What came of an original: derivatives made; nothing to do; what would be made; a fault."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=str.lower, tag_field="event"):
    """Something that happened."""


class RunStarted(Event, frozen=True, kw_only=True, tag="began"):
    """A run begins, or goes on behind the key `after`; `sizes` are those that are seen to."""

    run: str
    prefix: str
    remake: str
    sizes: tuple[str, ...]
    after: str = ""
    goes_on: bool = False


class Counted(Event, frozen=True, kw_only=True):
    """The listing was counted to its end, while work had begun."""

    originals: int


class OriginalDone(Event, frozen=True, kw_only=True, tag="original"):
    """One original is over; `why` gives the reason for each size that is due, `detail` says what is wrong."""

    key: str
    result: Result
    why: dict[str, str] = {}
    code: str = ""
    detail: str = ""
    seconds: float = 0.0


class RetryScheduled(Event, frozen=True, kw_only=True, tag="trouble"):
    """Store or queue are away; it is tried again in a while."""

    code: str
    detail: str
    again_in_seconds: float


class Stopping(Event, frozen=True, kw_only=True):
    """No more originals are begun, and why; of so many underway those that run are finished, here or by others."""

    detail: str
    underway: int
    ends_elsewhere: bool = False


class RunEnded(Event, frozen=True, kw_only=True, tag="ended"):
    """The run is over; `is_finished` says whether it came to its end, `faults` counts failures by their code."""

    is_finished: bool
    is_within_budget: bool
    made: int
    fresh: int
    due: int
    failed: int
    faults: dict[str, int]
    seconds: float
    did: str = "made"
    """What was done to those that are counted as made."""
    failures: str = ""
    """The file that names them, where there are any."""

    @property
    def originals(self) -> int:
        """How many were seen to."""
        return self.made + self.fresh + self.due + self.failed
