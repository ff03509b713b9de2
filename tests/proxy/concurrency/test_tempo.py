"""How fast a run is, and when it will be over."""

from __future__ import annotations

import asyncio

import pytest

from proxy.bulk.reprocess.throttle import Throttle
from proxy.bulk.stop import Stop, Stopped
from proxy.concurrency.tempo import WINDOW_SECONDS, Throughput, format_duration


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_minute() -> None:
    clock = Clock()
    tempo = Throughput(clock)
    for _ in range(100):  # fresh ones, at a hundred a second
        clock.now += 1
        tempo.note(round(clock.now * 100))
    assert tempo.per_second == pytest.approx(100)
    for second in range(1, 2 * round(WINDOW_SECONDS)):
        clock.now += 1
        tempo.note(10_000 + second * 2)
    assert tempo.per_second == pytest.approx(2)
    assert tempo.seconds_left(10_000 + 2 * 119 + 600) == pytest.approx(300)


def test_nothing_is_promised_before_it_can_be_told() -> None:
    tempo = Throughput(Clock())
    assert tempo.per_second == 0
    assert tempo.seconds_left(100) is None
    tempo.note(1)
    assert tempo.seconds_left(100) is None


@pytest.mark.parametrize(
    ("seconds", "description"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7320, "2 h 02 min")],
)
def test_lengths_of_time_are_given_as_people_say_them(seconds: float, description: str) -> None:
    assert format_duration(seconds) == description


@pytest.mark.anyio
async def test_beginnings_are_spaced() -> None:
    clock, stop = Clock(), Stop()
    allowance = Throttle(10, clock)
    await allowance.take(stop)
    waiting = asyncio.create_task(allowance.take(stop))
    await asyncio.sleep(0)
    assert not waiting.done()
    stop.request("enough")
    with pytest.raises(Stopped):
        await waiting
    clock.now = 20
    await allowance.take(stop)
