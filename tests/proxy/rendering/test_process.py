"""A render process: invalid responses, and what it writes to stderr."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
import structlog

from pipeline.protocol import Probe, Ready
from proxy.errors import ProcessDied
from proxy.rendering.process import LOGGED_BYTES, RenderProcess
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

QUESTION = Probe(path="/nowhere", sizes=())
READY = msgspec.json.encode(Ready(libvips="8")).decode()


@asynccontextmanager
async def standing_in(script: str) -> AsyncIterator[RenderProcess]:
    """Yield a process that runs a shell script instead of the render worker."""
    pipe = asyncio.subprocess.PIPE
    process = RenderProcess(
        await asyncio.create_subprocess_exec("sh", "-c", script, stdin=pipe, stdout=pipe, stderr=pipe)
    )
    try:
        yield process
    finally:
        await process.kill()


@pytest.mark.parametrize("answer", ["no JSON", "{}", '["Ready"]'])
async def test_an_answer_that_makes_no_sense_is_as_good_as_none(answer: str) -> None:
    async with standing_in(f"read question; echo '{answer}'; read more") as process:
        with pytest.raises(ProcessDied, match="returned an invalid response"):
            await process.ask(QUESTION, deadline_seconds=30)


async def test_what_it_says_aside_is_logged_with_whose_question_it_was_asked() -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        async with standing_in(f"for name in first second; do read q; echo $name >&2; echo '{READY}'; done") as process:
            for number, job_id in enumerate("ab", start=1):
                with structlog.contextvars.bound_contextvars(job_id=job_id):
                    await process.ask(QUESTION, deadline_seconds=30)

                async def is_logged(number: int = number) -> bool:
                    return len(lines) == number

                await until(is_logged)
    assert [(line["line"], line["job_id"]) for line in lines] == [("first", "a"), ("second", "b")]


async def test_a_process_that_does_not_answer_in_time_is_killed() -> None:
    async with standing_in("read question; read more") as process:
        with pytest.raises(TimeoutError):
            await process.ask(QUESTION, deadline_seconds=0.05)
        assert not process.is_alive


LONG = "head -c {} /dev/zero | tr '\\0' x"


async def test_a_long_line_of_stderr_is_cut_and_ends_nothing() -> None:
    script = f"read q; {{ {LONG.format(3_000_000)}; echo; echo after; printf end; }} >&2; echo '{{}}'; read q"
    with structlog.testing.capture_logs() as lines:
        async with standing_in(script) as process:
            with pytest.raises(ProcessDied, match="returned an invalid response"):
                await process.ask(QUESTION, deadline_seconds=20)

            async def is_logged() -> bool:
                return len(lines) == 3

            await until(is_logged)
    assert lines[0]["line"] == "x" * LOGGED_BYTES + f" [{3_000_000 - LOGGED_BYTES} more bytes]"
    assert [line["line"] for line in lines[1:]] == ["after", "end"]


async def test_an_answer_without_an_end_is_as_good_as_none() -> None:
    async with standing_in("read q; exec head -c 3000000 /dev/zero") as process:
        with pytest.raises(ProcessDied, match="over"):
            await process.ask(QUESTION, deadline_seconds=20)


async def test_a_process_that_it_started_keeps_nobody_waiting() -> None:
    async with asyncio.timeout(20):
        async with standing_in("sleep 30 >&2 & read q; echo '{}'; read q") as process:
            with pytest.raises(ProcessDied, match="returned an invalid response"):
                await process.ask(QUESTION, deadline_seconds=20)
