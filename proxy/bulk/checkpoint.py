"""Where a run is: what it was asked for, how far it has come, what came of it so far."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from proxy.derivatives.results import Remake  # noqa: TC001 - msgspec reads the annotations at run time

if TYPE_CHECKING:
    from proxy.bulk.events import OriginalDone


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked for, as far as it decides what comes of it: a run goes on with the same words only.

    `profiles` are the render profiles of `sizes`: other ones would leave the first originals with yesterday's.
    """

    store: str
    endpoint: str = ""
    origin: str = ""
    layout: str = ""
    shadow: str = ""
    prefix: str
    sizes: tuple[str, ...]
    remake: Remake
    since: datetime | None
    retry_failed: str
    through_queue: bool
    profiles: tuple[str, ...]

    def differences(self, other: RunOptions) -> list[str]:
        """Name what is not the same in the other words."""
        return [name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)]


class RunTally(msgspec.Struct, kw_only=True):
    """How many originals came to which end; `faults` counts the failed by the code of what is wrong."""

    made: int = 0
    fresh: int = 0
    due: int = 0
    failed: int = 0
    faults: dict[str, int] = {}

    @property
    def originals(self) -> int:
        """How many are over."""
        return self.fresh + self.needed

    @property
    def needed(self) -> int:
        """How many of them had anything to be done."""
        return self.made + self.due + self.failed

    @property
    def problems(self) -> str:
        """Return the failures that a status line ends with."""
        return f"{self.failed:,} failed"

    def add(self, original: OriginalDone) -> None:
        """Count one more."""
        setattr(self, original.result, getattr(self, original.result) + 1)
        if original.code:
            self.faults[original.code] = self.faults.get(original.code, 0) + 1


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """All that has to be known to go on: `after` and `done` as `LowWaterMark` has them, seconds of work so far."""

    run: str
    words: RunOptions
    failures: str
    after: str = ""
    done: tuple[str, ...] = ()
    tally: RunTally = msgspec.field(default_factory=RunTally)
    seconds: float = 0.0

    @property
    def is_begun(self) -> bool:
        """Whether this run, or one that it follows, has worked before."""
        return self.seconds > 0 or bool(self.after)


def new_checkpoint(words: RunOptions, *, after: str = "", done: tuple[str, ...] = ()) -> Checkpoint:
    """Give the place of a new run, behind what an earlier one has seen to."""
    now, run = datetime.now(UTC), uuid.uuid4().hex[:12]
    return Checkpoint(
        run=run, words=words, failures=f"failures-{now:%Y%m%dT%H%M%SZ}-{run}.jsonl", after=after, done=done
    )
