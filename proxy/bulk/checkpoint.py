"""The progress of a run: its options, the finished originals and their outcomes, on disk before they count."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from pipeline.errors import BY_CODE
from proxy.bulk.events import OriginalDone
from proxy.bulk.originals import FailedOriginal
from proxy.concurrency.batcher import Batcher
from proxy.derivatives.results import Remake  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.errors import BadKey, NotFound, TooManyBytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.bulk.events import Event
    from proxy.errors import ImagesError

SAVE_SECONDS = 1.0
"""Seconds between two saves while all originals are fresh: inspecting those again after a kill is cheap."""

IN_A_ROW = 10
"""Consecutive failures not caused by the original itself, after which the run stops."""

ITS_OWN_FAULT = frozenset({*BY_CODE, TooManyBytes.code, NotFound.code, BadKey.code})


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options that decide what a run does to an original; a run resumes only with the same options.

    `profiles` are the render profiles of `sizes`: with other profiles, the originals that are done would keep outdated
    derivatives.
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
    where: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """The `[[where]]` tables of the sizes file, one text each; not stored if there are none."""

    def differences(self, other: RunOptions) -> list[str]:
        """Return the options and settings that differ, by the names that an operator knows."""
        fields = [field for field in self.__struct_fields__ if getattr(self, field) != getattr(other, field)]
        return [_OPTION_NAMES.get(field, field) for field in fields]


_OPTION_NAMES = {
    "store": "STORE",
    "endpoint": "S3_ENDPOINT_URL",
    "origin": "ORIGINALS_BASE_URL",
    "layout": "KEY_LAYOUT",
    "shadow": "SHADOW_PREFIX",
    "prefix": "--prefix",
    "sizes": "--sizes",
    "remake": "--only-stale, --missing or --all",
    "since": "--since",
    "retry_failed": "--retry-failed",
    "through_queue": "--through-queue",
    "profiles": "render profiles",
    "where": "[[where]] tables of SIZES_FILE",
}
"""The operator's names for the fields of `RunOptions`."""


class RunTally(msgspec.Struct, kw_only=True):
    """The number of originals by result; `faults` counts failures by error code.

    `changed` counts the originals of which the run has rendered, promoted or undone derivatives, or exported the row.
    """

    changed: int = msgspec.field(default=0, name="made")
    fresh: int = 0
    due: int = 0
    failed: int = 0
    faults: dict[str, int] = {}

    @property
    def originals(self) -> int:
        """Return how many originals are done."""
        return self.fresh + self.needed

    @property
    def needed(self) -> int:
        """Return how many originals were not fresh."""
        return self.changed + self.due + self.failed

    @property
    def problems(self) -> str:
        """Return the number of failures as text for a status line."""
        return f"{self.failed:,} failed"

    def add(self, original: OriginalDone) -> None:
        """Count one more original."""
        match original.result:
            case "fresh":
                self.fresh += 1
            case "due":
                self.due += 1
            case "failed":
                self.failed += 1
            case "rendered" | "promoted" | "undone" | "exported":
                self.changed += 1
        if original.code:
            self.faults[original.code] = self.faults.get(original.code, 0) + 1


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The state that a run resumes from: `after` and `done` as in `LowWaterMark`, `seconds` of work so far."""

    run: str
    options: RunOptions = msgspec.field(name="words")
    failures: str
    after: str = ""
    done: tuple[str, ...] = ()
    tally: RunTally = msgspec.field(default_factory=RunTally)
    seconds: float = 0.0

    @property
    def has_started(self) -> bool:
        """Return whether this run has worked before, or continues an earlier run."""
        return self.seconds > 0 or bool(self.after)


def new_checkpoint(options: RunOptions, *, after: str = "", done: tuple[str, ...] = ()) -> Checkpoint:
    """Return the checkpoint of a new run; `after` and `done` are the originals that an earlier run has done."""
    now, run = datetime.now(UTC), uuid.uuid4().hex[:12]
    return Checkpoint(
        run=run, options=options, failures=f"failures-{now:%Y%m%dT%H%M%SZ}-{run}.jsonl", after=after, done=done
    )


class LowWaterMark:
    """The key up to which every original is done, and the later originals that are done already."""

    def __init__(self, after: str = "", done: Iterable[str] = ()) -> None:
        self.after = after
        """Every original up to this key is done; empty at the start."""
        self._done_before = set(done)
        self._is_done: dict[str, bool] = {}

    def __len__(self) -> int:
        """Return how many originals that follow `after` were started, done or not."""
        return len(self._is_done)

    @property
    def done(self) -> tuple[str, ...]:
        """Return the keys that follow `after` and are done."""
        return (*self._done_before, *(key for key, is_done in self._is_done.items() if is_done))

    def begin(self, key: str) -> bool:
        """Start the next original of the listing; return False if it is done or in progress."""
        if key in self._is_done:
            return False
        is_done = key in self._done_before
        self._done_before.discard(key)
        self._is_done[key] = is_done
        self._advance()
        return not is_done

    def end(self, key: str) -> None:
        """Mark an original as done."""
        self._is_done[key] = True
        self._advance()

    def _advance(self) -> None:
        while self._is_done:
            key, is_done = next(iter(self._is_done.items()))
            if not is_done:
                return
            del self._is_done[key]
            self.after = key


class CheckpointStore(Protocol):
    """A store for checkpoints and failures."""

    async def save(self, checkpoint: Checkpoint) -> None:
        """Store the checkpoint durably."""
        ...

    async def append_failure(self, checkpoint: Checkpoint, failure: FailedOriginal) -> None:
        """Store a failure durably."""
        ...


class RunProgress:
    """The progress of a run, stored in a checkpoint from which a killed run resumes."""

    def __init__(self, checkpoint: Checkpoint, state: CheckpointStore) -> None:
        self._checkpoint = checkpoint
        self._state = state
        self._low_water_mark = LowWaterMark(checkpoint.after, checkpoint.done)
        self._saves: Batcher[None, None] = Batcher(self._save_once)
        self._started = time.monotonic()
        self._saved = self._started
        self._failed_in_a_row = 0
        self.stop_reason = ""
        """Why the run must stop; empty while it may continue."""

    @property
    def tally(self) -> RunTally:
        """Return how many originals had which result."""
        return self._checkpoint.tally

    @property
    def after(self) -> str:
        """Return the key up to which all originals are done."""
        return self._low_water_mark.after

    @property
    def done(self) -> tuple[str, ...]:
        """Return the keys that follow `after` and are done."""
        return self._low_water_mark.done

    @property
    def listed_before(self) -> int:
        """Return how many originals this run has done up to `after`, without those of an earlier run with a limit."""
        return self.tally.originals - len(self.done)

    @property
    def seconds(self) -> float:
        """Return the seconds that the run has worked, over all its starts."""
        return self._checkpoint.seconds + time.monotonic() - self._started

    def __len__(self) -> int:
        """Return how many originals were started, from the first one that is not done."""
        return len(self._low_water_mark)

    async def begin(self, key: str) -> bool:
        """Start the next original; return False if it is done or in progress."""
        return self._low_water_mark.begin(key)

    def failure(self, key: str, error: ImagesError) -> OriginalDone:
        """Return the outcome of an original whose step failed."""
        return OriginalDone.from_error(key, error)

    async def record(self, original: OriginalDone) -> Sequence[Event]:
        """Store the outcome of an original durably; return the events that report it."""
        if original.result == "failed":
            failure = FailedOriginal(key=original.key, code=original.code, detail=original.detail)
            await self._state.append_failure(self._checkpoint, failure)
        self.tally.add(original)
        self._low_water_mark.end(original.key)
        if original.result != "fresh" or time.monotonic() - self._saved > SAVE_SECONDS:
            await self.save()
        self._count_failures_in_a_row(original)
        return (original,)

    def _count_failures_in_a_row(self, original: OriginalDone) -> None:
        if original.result == "failed" and original.code not in ITS_OWN_FAULT:
            self._failed_in_a_row += 1
        elif original.result != "fresh":  # a fresh one was only inspected
            self._failed_in_a_row = 0
        if self._failed_in_a_row >= IN_A_ROW:
            self.stop_reason = (
                f"{IN_A_ROW} originals in a row failed, and not because of the originals. "
                f"The last error is {original.code}: {original.detail}"
            )

    async def save(self) -> None:
        """Store the checkpoint durably; calls during a save are batched into the next one."""
        await self._saves.ask(None)

    async def _save_once(self, calls: Sequence[None]) -> Sequence[None]:
        self._saved = time.monotonic()
        checkpoint = msgspec.structs.replace(self._checkpoint, after=self.after, done=self.done, seconds=self.seconds)
        await self._state.save(checkpoint)
        return calls
