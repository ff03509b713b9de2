"""Starts are spaced by the throttle."""

from __future__ import annotations

import asyncio

import pytest

from proxy.bulk.reprocess.throttle import Throttle
from proxy.bulk.stop import Stop, Stopped


class Clock:
    """A clock that advances only when it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.anyio
async def test_beginnings_are_spaced() -> None:
    clock, stop = Clock(), Stop()
    throttle = Throttle(10, clock)
    await throttle.take(stop)
    waiting = asyncio.create_task(throttle.take(stop))
    await asyncio.sleep(0)
    assert not waiting.done()
    stop.request("enough")
    with pytest.raises(Stopped):
        await waiting
    clock.now = 20
    await throttle.take(stop)
