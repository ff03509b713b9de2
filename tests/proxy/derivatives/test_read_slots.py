"""Slots for clients that may be slow."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from proxy.derivatives.read_slots import GRACE_SECONDS, MIN_BYTES_PER_SECOND, ReadSlot, ReadSlots
from proxy.errors import Busy

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def slots(most: int, clock: Clock, *, wait_seconds: float = 5) -> ReadSlots:
    return ReadSlots(most, wait_seconds=wait_seconds, clock=clock)


async def fill(stack: AsyncExitStack, every: ReadSlots, clients: list[str]) -> list[ReadSlot]:
    return [await stack.enter_async_context(every.hold(client)) for client in clients]


async def release_when_evicted(every: ReadSlots, client: str, has: asyncio.Event, gone: list[str]) -> None:
    async with every.hold(client) as slot:
        has.set()
        await slot.evicted.wait()
        gone.append(client)


async def test_a_client_that_takes_nothing_loses_its_slot_to_another() -> None:
    clock, gone = Clock(), list[str]()
    every = slots(2, clock)
    async with asyncio.TaskGroup() as tasks:
        for client in ("silent", "busy"):
            has = asyncio.Event()
            tasks.create_task(release_when_evicted(every, client, has, gone))
            await has.wait()
        clock.now += GRACE_SECONDS + 1
        next(slot for slot in every.slots if slot.client == "busy").take(10 * MIN_BYTES_PER_SECOND, clock.now)
        async with every.hold("another"):
            assert gone == ["silent"]
        next(iter(every.slots)).evicted.set()


async def test_clients_that_are_fast_enough_keep_their_slots_and_others_are_told_to_retry() -> None:
    clock = Clock()
    every = slots(2, clock, wait_seconds=0.3)
    async with AsyncExitStack() as stack:
        held = await fill(stack, every, ["a", "b"])
        clock.now += 10
        for slot in held:
            slot.take(11 * MIN_BYTES_PER_SECOND, clock.now)
        with pytest.raises(Busy):
            await stack.enter_async_context(every.hold("c"))
        assert not any(slot.evicted.is_set() for slot in held)


async def test_a_trickle_is_too_slow_however_steady() -> None:
    clock = Clock()
    slot = ReadSlot("a", clock.now, clock.now)
    for _ in range(60):
        clock.now += 1
        slot.take(100, clock.now)
    assert slot.is_slow(clock.now)


async def test_one_client_address_cannot_have_all_slots() -> None:
    clock = Clock()
    every = slots(4, clock, wait_seconds=0.3)
    async with AsyncExitStack() as stack:
        await fill(stack, every, ["a", "a", "a"])
        with pytest.raises(Busy):
            await stack.enter_async_context(every.hold("a"))
        await stack.enter_async_context(every.hold("b"))


async def test_a_slot_that_is_released_goes_to_whoever_waits() -> None:
    every = slots(1, Clock())
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        await stack.enter_async_context(every.hold("a"))

        async def hold() -> None:
            async with every.hold("b"):
                pass

        waiting = tasks.create_task(hold())
        await asyncio.sleep(0)
        await stack.aclose()
        await waiting
    assert not every.slots
