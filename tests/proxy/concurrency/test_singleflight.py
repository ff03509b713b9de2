"""Single flight: one shared call for concurrent callers."""

from __future__ import annotations

import asyncio

import pytest

from proxy.concurrency.singleflight import SingleFlight

pytestmark = pytest.mark.anyio


class Call:
    """A call that counts its invocations and returns when `land` is set."""

    def __init__(self, *, fault: Exception | None = None) -> None:
        self.count = 0
        self.land = asyncio.Event()
        self._fault = fault

    async def __call__(self) -> str:
        self.count += 1
        await self.land.wait()
        if self._fault:
            raise self._fault
        return "landed"


async def test_callers_at_the_same_time_share_one_call() -> None:
    flights: SingleFlight[str] = SingleFlight()
    call = Call()
    callers = [asyncio.create_task(flights.run("key", call)) for _ in range(100)]
    await asyncio.sleep(0)
    call.land.set()
    assert await asyncio.gather(*callers) == ["landed"] * 100
    assert (call.count, len(flights)) == (1, 0)


async def test_a_fault_reaches_every_caller_and_is_not_kept() -> None:
    flights: SingleFlight[str] = SingleFlight()
    call = Call(fault=ValueError("no"))
    callers = [asyncio.create_task(flights.run("key", call)) for _ in range(3)]
    await asyncio.sleep(0)
    call.land.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3
    with pytest.raises(ValueError, match="no"):
        await flights.run("key", call)
    assert call.count == 2


async def test_a_caller_that_goes_away_does_not_stop_it_for_the_others() -> None:
    flights: SingleFlight[str] = SingleFlight()
    call = Call()
    first = asyncio.create_task(flights.run("key", call))
    second = asyncio.create_task(flights.run("key", call))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    call.land.set()
    assert await second == "landed"
    assert first.cancelled()


async def test_different_keys_fly_apart() -> None:
    flights: SingleFlight[str] = SingleFlight()
    one, other = Call(), Call()
    one.land.set()
    other.land.set()
    await asyncio.gather(flights.run("one", one), flights.run("other", other))
    assert (one.count, other.count) == (1, 1)


async def test_every_flight_has_ended_when_they_are_closed() -> None:
    flights: SingleFlight[str] = SingleFlight()
    callers = [asyncio.create_task(flights.run(key, Call())) for key in range(3)]
    await asyncio.sleep(0)
    await flights.close()
    assert len(flights) == 0
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in outcomes)
