"""The line in front of the render processes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Busy
from proxy.limiter import Limiter

pytestmark = pytest.mark.anyio


async def hold(limiter: Limiter, entered: asyncio.Event, leave: asyncio.Event) -> None:
    with limiter.place():
        async with limiter.slot():
            entered.set()
            await leave.wait()


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_caller_beyond_the_slots_waits_until_one_leaves() -> None:
    limiter = Limiter(slots=1, waiting=1)
    first, second, leave = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(limiter, first, leave))
        await first.wait()
        group.create_task(hold(limiter, second, leave))
        await settle()
        assert (limiter.taken, second.is_set()) == (2, False)
        leave.set()
    assert second.is_set()
    assert limiter.taken == 0


async def test_a_caller_that_finds_no_place_is_told_when_to_come_back() -> None:
    limiter = Limiter(slots=1, waiting=0)
    with limiter.place(), pytest.raises(Busy) as refusal, limiter.place():
        pass
    assert refusal.value.retry_after_seconds > 0


async def test_a_patient_caller_always_gets_a_place() -> None:
    limiter = Limiter(slots=1, waiting=0)
    with limiter.place(), limiter.place(patient=True):
        assert limiter.taken == 2


async def test_a_caller_that_gives_up_in_line_leaves_no_gap() -> None:
    limiter = Limiter(slots=1, waiting=3)
    never, third, leave = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        async with limiter.slot():
            impatient = group.create_task(hold(limiter, never, leave))
            group.create_task(hold(limiter, third, leave))
            await settle()
            impatient.cancel()
            await settle()
            assert limiter.taken == 1
        await third.wait()
        leave.set()
    assert not never.is_set()


async def test_a_slot_that_comes_in_the_moment_of_giving_up_goes_to_the_next() -> None:
    limiter = Limiter(slots=1, waiting=3)
    never, third, leave = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        async with limiter.slot():
            impatient = group.create_task(hold(limiter, never, leave))
            group.create_task(hold(limiter, third, leave))
            await settle()
        impatient.cancel()  # its turn has come, but it has not run since
        await third.wait()
        leave.set()
    assert (limiter.taken, never.is_set()) == (0, False)


@given(slots=st.integers(1, 4), callers=st.integers(1, 12), leaving=st.permutations(range(12)))
async def test_at_most_as_many_work_at_once_as_there_are_slots_and_all_get_their_turn(
    slots: int, callers: int, leaving: list[int]
) -> None:
    limiter = Limiter(slots=slots, waiting=callers)
    turns = [(asyncio.Event(), asyncio.Event()) for _ in range(callers)]
    async with asyncio.TaskGroup() as group:
        for entered, leave in turns:
            group.create_task(hold(limiter, entered, leave))
        for one in leaving:
            await settle()
            at_work = sum(entered.is_set() and not leave.is_set() for entered, leave in turns)
            assert at_work <= slots
            if one < callers:
                turns[one][1].set()
    assert all(entered.is_set() for entered, _ in turns)
