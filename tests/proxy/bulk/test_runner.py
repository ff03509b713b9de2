"""A run processes every original, some concurrently, until all are done or something ends the run."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
import structlog
from msgspec.structs import replace

from proxy.bulk.checkpoint import IN_A_ROW, RunTally, new_checkpoint
from proxy.bulk.events import Counted, OriginalDone, RetryScheduled, Stopping
from proxy.bulk.originals import count, sample
from proxy.bulk.reporters import GuardedReporter
from proxy.bulk.runner import LOOK_AHEAD
from proxy.bulk.state_dir import StateDir
from proxy.bulk.stop import Stop
from proxy.errors import NotFound, ProcessDied, StoreRefused, StoreUnavailable, UnreadableFolders
from tests.proxy.bulk.runs import OPTIONS, Heard, Names, Rig, counted
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.bulk.events import Event

pytestmark = pytest.mark.anyio

NAMES = [f"{number:05}" for number in range(20)]


async def make(key: str) -> OriginalDone:
    await asyncio.sleep(0)
    return OriginalDone(key=key, result="rendered")


async def keep_fresh(key: str) -> OriginalDone:
    await asyncio.sleep(0)
    return OriginalDone(key=key, result="fresh")


def seen(rig: Rig) -> list[str]:
    return [event.key for event in rig.heard.events if isinstance(event, OriginalDone)]


async def test_every_original_is_seen_to_once_and_no_more_at_once_than_may() -> None:
    rig, running = Rig(), [0, 0]

    async def step(key: str) -> OriginalDone:
        with counted(running):
            return await make(key)

    assert await rig.run(Names(NAMES), step, concurrency=3)
    assert sorted(seen(rig)) == NAMES
    assert running[0] == 3
    assert rig.progress.tally.changed == len(NAMES)
    assert Counted(originals=20) in rig.heard.events
    assert (rig.heard.most, 20 in rig.heard.totals) == (20, True)


async def test_the_total_is_what_this_run_has_seen_to_and_will_wherever_it_goes_on() -> None:
    behind_others = Rig(checkpoint=new_checkpoint(OPTIONS, after=NAMES[11], done=(NAMES[13],)))
    assert await behind_others.run(Names(NAMES), make)
    assert Counted(originals=7) in behind_others.heard.events
    assert behind_others.progress.tally.originals == 7
    killed = Rig(
        checkpoint=replace(new_checkpoint(OPTIONS, after=NAMES[11], done=(NAMES[13],)), tally=RunTally(changed=13))
    )
    assert await killed.run(Names(NAMES), make)
    assert Counted(originals=20) in killed.heard.events
    assert killed.progress.tally.originals == 20


async def test_a_limit_counts_only_those_that_needed_something() -> None:
    rig = Rig()

    async def step(key: str) -> OriginalDone:
        return await (keep_fresh(key) if int(key) % 2 else make(key))

    assert await rig.run(Names(NAMES), step, limit=5)
    assert (rig.progress.tally.changed, rig.progress.tally.needed) == (5, 5)


async def test_a_run_that_is_stopped_finishes_what_is_underway_and_begins_no_more() -> None:
    rig, go_on = Rig(), asyncio.Event()

    async def step(key: str) -> OriginalDone:
        if len(rig.progress) == 3:
            rig.stop.request("enough")
        await go_on.wait()
        return await make(key)

    running = asyncio.create_task(rig.run(Names(NAMES), step))
    with anyio.fail_after(10):
        await rig.stop.wait()
        go_on.set()
        assert not await running
    assert sorted(seen(rig)) == NAMES[:3]
    assert rig.progress.after == NAMES[2]
    assert Stopping(detail="enough", in_progress=3) in rig.heard.events


class Endless(Names):
    """A listing that hangs after its first key."""

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        if not after:
            yield self.names[0]
        await asyncio.Event().wait()


async def test_a_run_that_is_stopped_between_two_beginnings_is_not_finished() -> None:
    rig = Rig()
    running = asyncio.create_task(rig.run(Endless(NAMES), make))

    async def has_one() -> bool:
        return bool(seen(rig))

    await until(has_one)
    rig.stop.request("enough")
    with anyio.fail_after(10):
        assert not await running
    assert seen(rig) == NAMES[:1]


async def test_what_ends_a_run_at_its_last_original_is_told_all_the_same() -> None:
    rig = Rig(trouble=StoreUnavailable("away"))

    async def step(key: str) -> OriginalDone:
        raise StoreUnavailable(key)

    assert not await rig.run(Names(NAMES[:1]), step)
    assert [event for event in rig.heard.events if isinstance(event, Stopping)]


async def test_an_original_that_fails_is_told_and_the_others_go_on() -> None:
    rig = Rig()

    async def step(key: str) -> OriginalDone:
        if key == NAMES[3]:
            raise NotFound("gone")
        return await make(key)

    assert await rig.run(Names(NAMES), step)
    assert rig.progress.tally.faults == {"not-found": 1}
    assert OriginalDone(key=NAMES[3], result="failed", code="not-found", detail="gone") in rig.heard.events
    assert rig.progress.tally.changed == 19


async def test_failures_in_a_row_that_are_no_fault_of_the_originals_end_the_run() -> None:
    rig = Rig()

    async def step(key: str) -> OriginalDone:
        await asyncio.sleep(0)
        if int(key) % 3 == 2:
            return OriginalDone(key=key, result="fresh")
        raise ProcessDied("it always dies")

    assert not await rig.run(Names([f"{number:05}" for number in range(1000)]), step)
    assert IN_A_ROW <= rig.progress.tally.failed <= IN_A_ROW + 3
    assert "it always dies" in rig.stop.reason


async def test_many_bad_originals_in_a_row_end_nothing() -> None:
    rig = Rig()

    async def step(key: str) -> OriginalDone:
        raise NotFound(key)

    assert await rig.run(Names(NAMES), step)
    assert rig.progress.tally.failed == 20


async def test_what_the_store_alone_cannot_do_for_one_original_is_its_failure() -> None:
    rig = Rig()

    async def step(key: str) -> OriginalDone:
        if key == NAMES[3]:
            raise StoreUnavailable("broken bytes")
        return await make(key)

    assert await rig.run(Names(NAMES), step)
    assert rig.progress.tally.faults == {"store-unavailable": 1}
    assert [event.detail for event in rig.heard.events if isinstance(event, RetryScheduled)] == ["broken bytes"]


async def test_a_store_that_stays_away_ends_the_run_and_costs_no_original(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    rig = Rig(state=state, trouble=StoreUnavailable("away"))

    async def step(key: str) -> OriginalDone:
        if int(key) < 5:
            return await make(key)
        raise StoreUnavailable("away")

    with anyio.fail_after(10):
        assert not await rig.run(Names(NAMES), step)
    assert rig.progress.tally.failed == 0
    assert rig.stop.reason.endswith("s of retries: away")
    again = Rig(checkpoint=state.load(OPTIONS), state=state)
    assert await again.run(Names(NAMES), make)
    assert again.progress.tally.changed == 20


async def test_a_listing_that_is_broken_off_goes_on_behind_the_last_key() -> None:
    rig = Rig()
    names = Names(NAMES, broken_after=NAMES[7], trouble=StoreUnavailable("reset"))
    assert await rig.run(names, make)
    assert sorted(seen(rig)) == NAMES


async def test_a_listing_that_is_refused_is_raised_once_what_is_underway_is_over() -> None:
    rig = Rig()
    names = Names(NAMES, broken_after=NAMES[7], trouble=StoreRefused("may not list"))
    with pytest.raises(StoreRefused, match="may not list"):
        await rig.run(names, make)
    assert (rig.progress.after, rig.progress.tally.changed) == (NAMES[7], 8)


async def test_each_folder_that_cannot_be_read_counts_as_a_failure_after_everything_else() -> None:
    rig = Rig()
    names = Names(NAMES, broken_after=NAMES[-1], trouble=UnreadableFolders(["a/", "b/"]))
    assert await rig.run(names, make)
    assert sorted(seen(rig)) == sorted([*NAMES, "a/", "b/"])
    assert (rig.progress.tally.changed, rig.progress.tally.failed) == (20, 2)
    assert rig.progress.tally.faults == {"store-refused": 2}


async def test_a_sample_lacks_only_what_a_folder_contains_that_cannot_be_read() -> None:
    names = Names(NAMES, broken_after=NAMES[-1], trouble=UnreadableFolders(["a/"]))
    assert await count(names) == 20
    rig = Rig()
    assert await rig.run(await sample(names, 3, seed=1), make)
    assert (rig.progress.tally.changed, rig.progress.tally.failed) == (3, 1)


async def test_an_unexpected_error_of_one_original_is_its_failure_and_is_logged() -> None:
    rig = Rig()

    async def step(key: str) -> OriginalDone:
        if key == NAMES[3]:
            raise ZeroDivisionError("by zero")
        return await make(key)

    with structlog.testing.capture_logs() as logs:
        assert await rig.run(Names(NAMES), step)
    assert rig.progress.tally.faults == {"internal": 1}
    assert rig.progress.tally.changed == 19
    assert "unexpected_error" in [line["event"] for line in logs]


async def test_unexpected_errors_of_many_originals_in_a_row_end_the_run() -> None:
    rig = Rig()

    async def step(key: str) -> OriginalDone:
        raise ZeroDivisionError(key)

    assert not await rig.run(Names(NAMES), step)
    assert "ZeroDivisionError" in rig.stop.reason


class Deaf(Heard):
    """A reporter that raises `fault` after `events` events."""

    def __init__(self, events: int, fault: Exception) -> None:
        super().__init__()
        self._left, self._fault = events, fault

    def emit(self, event: Event) -> None:
        if len(self.events) == self._left:
            raise self._fault
        super().emit(event)


async def test_a_run_ends_when_nobody_takes_its_lines_any_more() -> None:
    stop = Stop()
    deaf = GuardedReporter(Deaf(4, BrokenPipeError(errno.EPIPE, "Broken pipe")), stop)
    rig = Rig(reporter=deaf, stop=stop)
    with anyio.fail_after(30):
        assert not await rig.run(Names(NAMES), make)
    assert "Broken pipe" in deaf.fault
    assert 3 <= rig.progress.tally.changed < len(NAMES)


async def test_a_reporter_with_a_fault_of_its_own_ends_the_run_with_it() -> None:
    rig = Rig(reporter=Deaf(4, ZeroDivisionError()))
    with anyio.fail_after(30), pytest.raises(ZeroDivisionError):
        await rig.run(Names(NAMES), make)


async def test_no_more_originals_are_met_than_a_checkpoint_may_name() -> None:
    rig, first = Rig(), asyncio.Event()
    most = 0

    async def step(key: str) -> OriginalDone:
        nonlocal most
        most = max(most, len(rig.progress))
        if key == "00000":
            await first.wait()
        elif int(key) == LOOK_AHEAD - 1:
            first.set()
        return await make(key)

    with anyio.fail_after(30):
        assert await rig.run(Names([f"{number:05}" for number in range(2 * LOOK_AHEAD)]), step)
    assert most == LOOK_AHEAD
