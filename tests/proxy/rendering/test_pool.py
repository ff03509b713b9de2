"""The pool of render processes, with real processes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import structlog

from pipeline.errors import NotAnImage
from pipeline.protocol import Render
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.errors import DeadlineExceeded, ProcessDied, UnexpectedError
from proxy.metrics import render_process_deaths_total
from proxy.rendering.pool import MODULE, RenderPool
from tests.proxy.conftest import BUDGET_BYTES, SIZES
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.protocol import Rendered

pytestmark = pytest.mark.anyio

PR_SET_CHILD_SUBREAPER = 36
"""Of `linux/prctl.h`: orphans below this process become its children."""


def question(photo: Path, folder: Path) -> Render:
    return Render(path=str(photo), folder=str(folder), sizes=SIZES)


def render_pids(*, children: bool = False) -> set[int]:
    """Return the ids of the fork servers that this process started, or of their children."""
    servers = {pid for pid in _children(os.getpid()) if MODULE.encode() in _read(pid, "cmdline")}
    return {child for pid in servers for child in _children(pid)} if children else servers


def _children(pid: int) -> list[int]:
    tasks = [*Path(f"/proc/{pid}/task").glob("*/children")]
    found = [int(child) for task in tasks for child in _read_file(task).split()]
    return [child for child in found if _read(child, "stat").rpartition(b")")[2].split()[:1] != [b"Z"]]


def _read(pid: int, name: str) -> bytes:
    return _read_file(Path(f"/proc/{pid}/{name}"))


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _open_files(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


def _is_alive(group: int) -> bool:
    """Return whether a process group has a process that has not ended."""
    stats = (_read_file(stat).rpartition(b")")[2].split() for stat in Path("/proc").glob("[0-9]*/stat"))
    return any(fields[2:3] == [str(group).encode()] and fields[0] != b"Z" for fields in stats)


async def child_of(*servers: int) -> int:
    """Wait for the only child of these fork servers."""

    async def look() -> int | None:
        return next((child for server in servers for child in _children(server)), None)

    return await until(look)


async def confined_child_of(server: int) -> int:
    """Wait for the only child of a fork server, until it has asked to die with it and confined itself."""
    child = await child_of(server)

    async def look() -> bool:
        return b"NoNewPrivs:\t1" in _read(child, "status")

    await until(look)
    return child


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


async def test_one_fork_server_serves_all_renders(render_pool: RenderPool, photo: Path, tmp_path: Path) -> None:
    before = render_pids()
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    await asyncio.gather(*(render_pool.render(question(photo, folder), Ticket(Priority.JOB)) for folder in folders))
    assert render_pids() == before
    assert not render_pids(children=True)


async def test_each_size_is_reported_as_soon_as_it_is_complete_and_the_first_before_all(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    def on_made(made: Rendered) -> None:
        assert Path(made.path).stat().st_size == made.bytes
        seen.append(made.size)

    asked = msgspec.structs.replace(question(photo, tmp_path), first="large")
    rendering = await render_pool.render(asked, Ticket(Priority.JOB), on_made=on_made)
    assert seen == ["large", "xlarge", "small"]
    assert [one.size for one in rendering.derived.derivatives] == ["small", "large", "xlarge"]
    assert {path.name for path in tmp_path.iterdir()} == {Path(one.path).name for one in rendering.derived.derivatives}


async def test_a_render_over_its_deadline_is_killed_and_the_fork_server_goes_on(
    hurried: RenderPool, photo: Path, tmp_path: Path
) -> None:
    before = render_pids()
    with pytest.raises(DeadlineExceeded):
        await hurried.render(question(photo, tmp_path), Ticket(Priority.JOB))
    assert render_pids() == before
    assert not render_pids(children=True)


async def test_a_deadline_ends_a_child_whatever_it_does_and_all_that_it_started(tmp_path: Path) -> None:
    admission = Admission(slots=1, budget_bytes=BUDGET_BYTES)
    pool = RenderPool(admission=admission, deadline_seconds=0.3, module="tests.proxy.rendering.forger")
    await pool.start()
    group = tmp_path / "group"
    start = f"import signal, threading\nopen({str(group)!r}, 'w').write(str(os.getpid()))\nforger.probed()\n"
    for code in (
        "for number in (1, 2, 3, 13, 14, 15): signal.signal(number, signal.SIG_IGN)\nsignal.pause()",
        "threading.Thread(target=signal.pause).start(); signal.pause()",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "os.fork(); signal.pause()",
        "os.setpgid(0, os.getpgid(os.getppid())); signal.pause()",
    ):
        (tmp_path / "original").write_text(start + code)
        with pytest.raises(DeadlineExceeded):
            await pool.render(question(tmp_path / "original", tmp_path), Ticket(Priority.JOB))
        assert not render_pids(children=True)

        async def has_ended() -> bool:
            return not _is_alive(int(group.read_text()))

        await until(has_ended)
    await pool.close()


async def test_many_renders_leave_neither_a_process_nor_a_descriptor(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (server,) = render_pids()

    async def rendered() -> tuple[set[int], int, int]:
        await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))
        return render_pids(children=True), _open_files(os.getpid()), _open_files(server)

    first = await rendered()
    for _ in range(9):
        assert await rendered() == first
    tasks = [*Path(f"/proc/{server}/task").glob("*/children")]
    assert [_read_file(task) for task in tasks] == [b""]  # no zombie either


async def test_a_fork_server_that_was_killed_is_replaced(render_pool: RenderPool, photo: Path, tmp_path: Path) -> None:
    (pid,) = render_pids()
    os.kill(pid, signal.SIGKILL)
    rendering = await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))
    assert len(rendering.derived.derivatives) == 3
    assert not render_pids() & {pid}


async def test_no_child_of_a_killed_fork_server_stays_a_zombie_of_the_service(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (server,) = render_pids()
    set_option = ctypes.CDLL(None).prctl
    set_option(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # as process 1 of a container
    try:
        rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
        child = await confined_child_of(server)
        os.kill(child, signal.SIGSTOP)
        os.kill(server, signal.SIGKILL)
        with pytest.raises(ProcessDied):
            await rendering
        await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))
        assert not Path(f"/proc/{child}").exists()
    finally:
        set_option(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


async def test_renders_die_with_the_fork_server_and_the_next_ones_do_not(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (server,) = render_pids()
    rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    os.kill(await confined_child_of(server), signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    with pytest.raises(ProcessDied):
        await rendering
    assert len((await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))).derived.derivatives) == 3


async def test_a_process_that_dies_at_work_fails_its_own_render_only(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (server,) = render_pids()
    rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    os.kill(await child_of(server), signal.SIGKILL)
    with pytest.raises(ProcessDied, match="ended with status -9"):
        await rendering
    assert len((await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))).derived.derivatives) == 3
    assert render_pids() == {server}


async def test_a_fault_of_our_own_code_is_logged_once_and_is_no_death(render_pool: RenderPool, tmp_path: Path) -> None:
    deaths = list(render_process_deaths_total.collect())
    with structlog.testing.capture_logs() as lines, pytest.raises(UnexpectedError) as caught:
        await render_pool.render(question(tmp_path, tmp_path), Ticket(Priority.JOB))  # a folder is no original
    assert [line["event"] for line in lines] == ["render_process_fault"]
    assert "IsADirectoryError" in lines[0]["trace"]
    assert str(tmp_path) not in str(caught.value)
    assert list(render_process_deaths_total.collect()) == deaths


async def test_a_caller_that_goes_away_takes_its_process_with_it(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (server,) = render_pids()
    rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    await child_of(server)
    rendering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rendering
    assert not render_pids(children=True)


async def test_no_process_outlives_its_pool_although_it_is_at_work(
    render_pool: RenderPool, photo: Path, tmp_path: Path
) -> None:
    (server,) = render_pids()
    rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    child = await child_of(server)
    os.kill(child, signal.SIGSTOP)
    await render_pool.close()
    assert not render_pids()
    assert not Path(f"/proc/{child}").exists()
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
    clock.now += 3600
    rendering = asyncio.create_task(pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
    os.kill(await child_of(*render_pids() - before), signal.SIGSTOP)
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
