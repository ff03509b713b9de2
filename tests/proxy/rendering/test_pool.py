"""The pool of render processes, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from pipeline.errors import NotAnImage
from pipeline.protocol import Render
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.errors import DeadlineExceeded, ProcessDied, UnexpectedError
from proxy.metrics import render_process_deaths_total
from proxy.rendering.pool import RenderPool
from tests.proxy.conftest import BUDGET_BYTES, SIZES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


def question(photo: Path, folder: Path) -> Render:
    return Render(path=str(photo), folder=str(folder), sizes=SIZES)


def render_pids() -> set[int]:
    """Return the ids of the render processes started by this process."""
    return {
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if (fields := _fields(stat)) and fields[1] == str(os.getpid()) and _is_worker(stat.parent)
    }


def _fields(stat: Path) -> list[str]:
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _is_worker(folder: Path) -> bool:
    try:
        return b"pipeline.process.render_worker" in (folder / "cmdline").read_bytes()
    except OSError:
        return False


@pytest.fixture
async def hurried() -> AsyncIterator[RenderPool]:
    """Yield a pool whose deadline passes before anything can be rendered."""
    pool = RenderPool(admission=Admission(slots=1, budget_bytes=BUDGET_BYTES), deadline_seconds=0.0001)
    await pool.start()
    yield pool
    await pool.close()


async def test_it_renders_and_tells_how_long_it_waited_and_worked(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    rendering = await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))
    assert [one.size for one in rendering.derived.derivatives] == ["small", "large", "xlarge"]
    assert rendering.render_seconds > rendering.wait_seconds >= 0


async def test_it_says_what_is_wrong_with_an_original(render_pool: RenderPool, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"this is not a picture")
    with pytest.raises(NotAnImage):
        await render_pool.render(question(tmp_path / "text", tmp_path), Ticket(Priority.JOB))


async def test_a_process_is_used_again(render_pool: RenderPool, photo: Path, tmp_path: Path) -> None:
    before = render_pids()
    for _ in range(3):
        await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))
    assert render_pids() == before


async def test_a_render_over_its_deadline_is_killed_and_the_next_gets_a_new_process(
    hurried: RenderPool, photo: Path, tmp_path: Path
) -> None:
    before = render_pids()
    with pytest.raises(DeadlineExceeded):
        await hurried.render(question(photo, tmp_path), Ticket(Priority.JOB))
    assert not before & render_pids()


async def test_a_process_that_died_idle_is_replaced_before_it_is_asked(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (pid,) = render_pids()
    os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # asyncio may have collected its exit status already
        await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    rendering = await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))
    assert len(rendering.derived.derivatives) == 3


async def test_a_process_that_dies_at_work_is_replaced(render_pool: RenderPool, photo: Path, tmp_path: Path) -> None:
    (pid,) = render_pids()
    os.kill(pid, signal.SIGSTOP)
    rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ProcessDied):
        await rendering
    assert len((await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))).derived.derivatives) == 3


async def test_a_fault_of_our_own_code_is_logged_once_is_no_death_and_the_process_is_replaced(
    render_pool: RenderPool, photo: Path
) -> None:
    pids, deaths = render_pids(), list(render_process_deaths_total.collect())
    with structlog.testing.capture_logs() as lines, pytest.raises(UnexpectedError) as caught:
        await render_pool.render(question(photo, Path("/nowhere")), Ticket(Priority.JOB))
    assert [line["event"] for line in lines] == ["render_process_fault"]
    assert "/nowhere" in lines[0]["trace"]
    assert "/nowhere" not in str(caught.value)
    assert not pids & render_pids()
    assert list(render_process_deaths_total.collect()) == deaths


async def test_a_caller_that_goes_away_takes_its_process_with_it(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (pid,) = render_pids()
    rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    await asyncio.sleep(0)
    rendering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rendering
    assert pid not in render_pids()


async def test_no_process_outlives_its_pool_although_it_is_at_work(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (pid,) = render_pids()
    os.kill(pid, signal.SIGSTOP)
    rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    await asyncio.sleep(0)
    await render_pool.close()
    assert not render_pids()
    with pytest.raises(ProcessDied):
        await rendering


async def test_no_process_outlives_its_pool_although_it_is_just_being_started(photo: Path, tmp_path: Path) -> None:
    pool = RenderPool(admission=Admission(slots=1, budget_bytes=BUDGET_BYTES), deadline_seconds=30)
    rendering = asyncio.create_task(pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(ProcessDied, match="shutting down"):
        await rendering
    assert not render_pids()


async def test_a_process_sees_no_credential(render_pool: RenderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    pool = RenderPool(admission=Admission(slots=1, budget_bytes=BUDGET_BYTES), deadline_seconds=30)
    before = render_pids()
    await pool.start()
    (pid,) = render_pids() - before
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    await pool.close()
    assert b"MALLOC_ARENA_MAX=1" in environment
    assert not any(b"AWS" in one or b"hunter2" in one for one in environment)


async def test_checking_renders_something_for_real(render_pool: RenderPool, hurried: RenderPool) -> None:
    await render_pool.check()
    with pytest.raises(DeadlineExceeded):
        await hurried.check()


@pytest.mark.parametrize(("slots", "held_bytes"), [(1, 1), (2, BUDGET_BYTES)], ids=["slots", "budget"])
async def test_checking_waits_for_no_share_where_others_hold_all_there_is(slots: int, held_bytes: int) -> None:
    admission = Admission(slots=slots, budget_bytes=BUDGET_BYTES)
    pool = RenderPool(admission=admission, deadline_seconds=30)
    async with admission.reserve(Ticket(Priority.JOB), held_bytes), asyncio.timeout(5):
        await pool.check()


@dataclass
class Clock:
    """A clock in seconds that the test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def stopped_render(photo: Path, tmp_path: Path, clock: Clock, *, slots: int = 1) -> AsyncIterator[RenderPool]:
    """Yield a pool that has been idle for an hour, and whose only render began now and does not continue."""
    admission = Admission(slots=slots, budget_bytes=BUDGET_BYTES)
    pool = RenderPool(admission=admission, deadline_seconds=30, clock=clock)
    before = render_pids()
    await pool.start()
    (pid,) = render_pids() - before
    clock.now += 3600
    os.kill(pid, signal.SIGSTOP)
    rendering = asyncio.create_task(pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    await asyncio.sleep(0)
    try:
        yield pool
    finally:
        await pool.close()
        with pytest.raises(ProcessDied):
            await rendering


async def test_a_render_that_began_now_does_not_hang_however_long_nothing_was_rendered(
    photo: Path, tmp_path: Path
) -> None:
    clock = Clock()
    async with stopped_render(photo, tmp_path, clock) as pool:
        await pool.check()
        clock.now += 60
        await pool.check()


async def test_a_render_that_runs_for_twice_the_deadline_hangs(photo: Path, tmp_path: Path) -> None:
    clock = Clock()
    async with stopped_render(photo, tmp_path, clock) as pool:
        clock.now += 61
        with pytest.raises(DeadlineExceeded, match="running for 61 s"):
            await pool.check()


async def test_one_render_that_hangs_is_not_all_while_another_succeeds(photo: Path, tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "other").mkdir()
    async with stopped_render(photo, tmp_path, clock, slots=2) as pool:
        clock.now += 50
        await pool.render(question(photo, tmp_path / "other"), Ticket(Priority.JOB))
        clock.now += 50
        await pool.check()


async def test_checking_renders_beside_others_where_there_is_a_share_left() -> None:
    before = render_pids()
    admission = Admission(slots=2, budget_bytes=BUDGET_BYTES)
    pool = RenderPool(admission=admission, deadline_seconds=30)
    async with admission.reserve(Ticket(Priority.JOB), 1):
        await pool.check()
    assert len(render_pids() - before) == 1
    await pool.close()


async def test_closing_ends_every_process(photo: Path) -> None:
    before = render_pids()
    pool = RenderPool(admission=Admission(slots=1, budget_bytes=BUDGET_BYTES), deadline_seconds=30)
    await pool.start()
    await pool.close()
    assert render_pids() == before
