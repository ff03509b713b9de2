"""A child: invalid answers, and what it writes to its log."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import structlog

from pipeline.protocol import Finished
from proxy.errors import ProcessDied
from proxy.rendering.child import Child
from proxy.rendering.log_lines import LOGGED_BYTES, LOGGED_LINES
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

LONG = "head -c {} /dev/zero | tr '\\0' x"


@asynccontextmanager
async def standing_in(script: str) -> AsyncIterator[Child]:
    """Yield a child that runs a shell script instead of our code."""
    channel, its_channel = socket.socketpair()
    output, its_output = socket.socketpair()
    with its_channel, its_output:
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            script,
            stdin=its_channel.fileno(),
            stdout=its_channel.fileno(),
            stderr=its_output.fileno(),
            start_new_session=True,
        )

    async def reap(_: int) -> int:
        return await process.wait()

    def kill(pid: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    child = await Child.connected(process.pid, channel, output, kill=kill, reap=reap, on_end=lambda _: None)
    try:
        yield child
    finally:
        await child.end()


@pytest.mark.parametrize("answer", ["no JSON", "{}", '["Ready"]', '{"type":"rendered"}', "[" * 5000])
async def test_an_answer_that_makes_no_sense_is_as_good_as_none(answer: str) -> None:
    async with standing_in(f"echo '{answer}'; read more") as child:
        with pytest.raises(ProcessDied, match=r"^The render process sent an invalid answer\.$"):
            await child.receive()


async def test_an_answer_without_an_end_is_as_good_as_none() -> None:
    async with standing_in("exec head -c 3000000 /dev/zero") as child:
        with pytest.raises(ProcessDied, match="over"):
            await child.receive()


async def test_a_child_that_ends_is_reported_with_its_status() -> None:
    async with standing_in("kill -SEGV $$") as child:
        with pytest.raises(ProcessDied, match="ended with status -11 before"):
            await child.receive()


async def test_what_it_says_aside_is_logged_with_whose_request_it_was() -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        for name in "ab":
            with structlog.contextvars.bound_contextvars(job_id=name):
                async with standing_in(f'echo {name} >&2; echo \'{{"type":"finished"}}\'; read q') as child:
                    assert await child.receive() == Finished()
    assert [(line["line"], line["job_id"]) for line in lines] == [("a", "a"), ("b", "b")]


async def test_long_lines_and_many_lines_of_its_log_are_cut() -> None:
    script = f"{{ {LONG.format(3_000_000)}; echo; seq {LOGGED_LINES + 9}; printf end; }} >&2"
    with structlog.testing.capture_logs() as lines:
        async with standing_in(script):

            async def is_logged() -> bool:
                return len(lines) == LOGGED_LINES + 1

            await until(is_logged)
    assert lines[0]["line"] == "x" * LOGGED_BYTES + f" [{3_000_000 - LOGGED_BYTES} more bytes]"
    assert lines[-1]["line"] == "[11 more lines]"


async def test_a_child_is_killed_although_it_ignores_signals_and_with_all_that_it_started() -> None:
    async with asyncio.timeout(20), standing_in("trap '' TERM HUP INT; sleep 60 & echo '{}'; read q") as child:
        with pytest.raises(ProcessDied):
            await child.receive()
        assert await child.end() == -9


async def test_a_process_that_it_started_keeps_nobody_waiting() -> None:
    async with asyncio.timeout(20), standing_in("setsid sleep 15 >&2 & echo '{}'; read q") as child:
        with pytest.raises(ProcessDied):
            await child.receive()
