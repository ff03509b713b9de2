"""Batching of concurrent requests into one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.concurrency.batcher import Batcher

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio


class Answering:
    """A fake for `answer`: it doubles numbers, fails for 13, records its batches, and waits for `go`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()

    async def answer(self, questions: Sequence[int]) -> list[int | Exception]:
        self.batches.append([*questions])
        await self.go.wait()
        if 99 in questions:
            raise OSError("all of it went wrong")
        return [ValueError("unlucky") if number == 13 else number * 2 for number in questions]


async def test_what_is_asked_while_a_batch_is_answered_makes_up_the_next() -> None:
    answering = Answering()
    batches = Batcher(answering.answer)
    first = asyncio.create_task(batches.ask(1))
    await asyncio.sleep(0)
    rest = [asyncio.create_task(batches.ask(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    answering.go.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert answering.batches == [[1], [2, 3, 4]]
    assert await batches.ask(5) == 10


async def test_a_fault_is_raised_to_its_asker_alone() -> None:
    answering = Answering()
    answering.go.set()
    batches = Batcher(answering.answer)
    first, unlucky, last = await asyncio.gather(batches.ask(1), batches.ask(13), batches.ask(2), return_exceptions=True)
    assert (first, last) == (2, 4)
    assert isinstance(unlucky, ValueError)


async def test_when_the_whole_batch_fails_all_of_its_askers_are_told_and_the_next_is_answered() -> None:
    answering = Answering()
    answering.go.set()
    batches = Batcher(answering.answer)
    answers = await asyncio.gather(batches.ask(1), batches.ask(99), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError, OSError]
    assert await batches.ask(3) == 6


async def test_an_asker_that_goes_away_disturbs_nobody() -> None:
    answering = Answering()
    batches = Batcher(answering.answer)
    gone, stays = asyncio.create_task(batches.ask(1)), asyncio.create_task(batches.ask(2))
    await asyncio.sleep(0)
    gone.cancel()
    answering.go.set()
    assert await stays == 4


async def test_a_batch_has_no_more_questions_than_it_may() -> None:
    answering = Answering()
    answering.go.set()
    batches = Batcher(answering.answer, most=2)
    assert await asyncio.gather(*map(batches.ask, (1, 2, 3, 4, 5))) == [2, 4, 6, 8, 10]
    assert answering.batches == [[1, 2], [3, 4], [5]]
