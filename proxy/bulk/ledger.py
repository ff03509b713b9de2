"""What came of each original, on disk before it counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from proxy.bulk.failures import FailedOriginal
from proxy.bulk.marks import LowWaterMark
from proxy.concurrency.batcher import Batcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.bulk.checkpoint import Checkpoint, RunTally
    from proxy.bulk.events import OriginalDone

SAVE_SECONDS = 1.0
"""How often a run is saved that finds all fresh: what is looked at again costs little."""


class CheckpointStore(Protocol):
    """Where a run is kept."""

    async def save(self, place: Checkpoint) -> None:
        """Keep where the run is; when this returns, it stays."""
        ...

    async def fail(self, place: Checkpoint, failure: FailedOriginal) -> None:
        """Keep a failure; when this returns, it stays."""
        ...


class RunProgress:
    """Knows which originals are over, and sees to it that a run that is killed and goes on knows it too."""

    def __init__(self, place: Checkpoint, records: CheckpointStore) -> None:
        self._place = place
        self._records = records
        self._low_water_mark = LowWaterMark(place.after, place.done)
        self._saves: Batcher[None, None] = Batcher(self._save_once)
        self._began = time.monotonic()
        self._saved = self._began

    @property
    def tally(self) -> RunTally:
        """How many came to which end."""
        return self._place.tally

    @property
    def after(self) -> str:
        """The key up to which all is over."""
        return self._low_water_mark.after

    @property
    def done(self) -> tuple[str, ...]:
        """The keys behind that which are over."""
        return self._low_water_mark.done

    @property
    def seconds(self) -> float:
        """How long the run has worked, with all its starts."""
        return self._place.seconds + time.monotonic() - self._began

    def __len__(self) -> int:
        """Count the originals that were met since the first that is not over."""
        return len(self._low_water_mark)

    def begin(self, key: str) -> bool:
        """Meet the next original; False when there is nothing to do, as it is over or underway."""
        return self._low_water_mark.begin(key)

    async def close(self, original: OriginalDone) -> None:
        """Take note of what came of an original; when this returns, that is known after any kill."""
        if original.result == "failed":
            failure = FailedOriginal(key=original.key, code=original.code, detail=original.detail)
            await self._records.fail(self._place, failure)
        self.tally.add(original)
        self._low_water_mark.end(original.key)
        if original.result != "fresh" or time.monotonic() - self._saved > SAVE_SECONDS:
            await self.save()

    async def save(self) -> None:
        """Keep where the run is; those who ask while that is done share the next time."""
        await self._saves.ask(None)

    async def _save_once(self, asked: Sequence[None]) -> Sequence[None]:
        self._saved = time.monotonic()
        place = msgspec.structs.replace(
            self._place, after=self._low_water_mark.after, done=self._low_water_mark.done, seconds=self.seconds
        )
        await self._records.save(place)
        return asked
