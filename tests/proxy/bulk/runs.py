"""Runs over originals that are only keys, with nothing on disk."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.bulk.checkpoint import Checkpoint, RunOptions, RunProgress, new_checkpoint
from proxy.bulk.events import RunEnded, Stopping
from proxy.bulk.outages import OutagePolicy, OutageRetry
from proxy.bulk.runner import Runner
from proxy.bulk.state_dir import NoState
from proxy.bulk.stop import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from proxy.bulk.checkpoint import CheckpointStore
    from proxy.bulk.events import Event, OriginalDone
    from proxy.bulk.originals import Originals
    from proxy.bulk.reporters import Reporter, Tally

OPTIONS = RunOptions(
    store="memory",
    prefix="",
    sizes=("small",),
    remake="stale",
    since=None,
    retry_failed="",
    through_queue=False,
    profiles=("1",),
)

QUICK = OutagePolicy(attempts=2, first_seconds=0.001, longest_seconds=0.001, away_seconds=1)

ENDED = RunEnded(
    is_finished=True,
    is_within_budget=False,
    rendered=1,
    fresh=2000,
    due=0,
    failed=3,
    faults={"corrupt": 2, "bad-key": 1},
    seconds=100.2,
    failures="var/reprocess/failures.jsonl",
)


@dataclass
class Heard:
    """A reporter that records everything."""

    events: list[Event] = field(default_factory=list)
    totals: set[int | None] = field(default_factory=set)
    most: int = 0

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def update(self, tally: Tally, total: int | None) -> None:
        self.most = max(self.most, tally.originals)
        self.totals.add(total)


@dataclass
class Names:
    """Originals by key; a walk raises `trouble` after it yielded `broken_after`."""

    names: Sequence[str]
    broken_after: str = ""
    trouble: Exception = field(default_factory=Exception)

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        for name in self.names:
            if name > after:
                yield name
                if name == self.broken_after:
                    raise self.trouble


@dataclass
class Rig:
    """A run with all its parts."""

    checkpoint: Checkpoint = field(default_factory=lambda: new_checkpoint(OPTIONS))
    state: CheckpointStore = field(default_factory=NoState)
    heard: Heard = field(default_factory=Heard)
    reporter: Reporter | None = None
    """A reporter used instead of `heard`."""
    stop: Stop = field(default_factory=Stop)
    trouble: Exception | None = None
    """The error that a check of the store raises."""
    progress: RunProgress = field(init=False)
    runner: Runner[OriginalDone] = field(init=False)

    def __post_init__(self) -> None:
        self.progress = RunProgress(self.checkpoint, self.state)

    async def check(self) -> None:
        if self.trouble:
            raise self.trouble

    async def run(
        self,
        originals: Originals,
        step: Callable[[str], Awaitable[OriginalDone]],
        *,
        concurrency: int = 3,
        limit: int | None = None,
    ) -> bool:
        """Run a step over the originals like a command; return whether all are done."""
        reporter = self.reporter or self.heard
        self.runner = Runner(
            concurrency=concurrency,
            progress=self.progress,
            outage_retry=OutageRetry(check=self.check, stop=self.stop, emit=self.heard.emit, policy=QUICK),
            stop=self.stop,
            reporter=reporter,
            limit=limit,
            on_stop=lambda underway: reporter.emit(Stopping(detail=self.stop.reason, in_progress=underway)),
        )
        return await self.runner.run(originals, step)


@contextmanager
def counted(running: list[int]) -> Iterator[None]:
    """Count concurrent blocks in `running[1]`, and their maximum in `running[0]`."""
    running[1] += 1
    running[0] = max(running)
    try:
        yield
    finally:
        running[1] -= 1
