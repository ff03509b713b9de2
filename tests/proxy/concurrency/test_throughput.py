"""How fast a counter grows, and how long more of the same takes."""

from __future__ import annotations

import pytest

from proxy.concurrency.throughput import Throughput, format_duration

WINDOW_SECONDS = 60.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def meter(clock: Clock) -> Throughput[int]:
    return Throughput(lambda before, now: now - before, window_seconds=WINDOW_SECONDS, clock=clock)


def test_the_rate_is_that_of_the_last_minute() -> None:
    clock = Clock()
    throughput = meter(clock)
    for _ in range(100):  # fresh ones, at a hundred a second
        clock.now += 1
        throughput.record(round(clock.now * 100))
    assert throughput.per_second == pytest.approx(100)
    for second in range(1, 2 * round(WINDOW_SECONDS)):
        clock.now += 1
        throughput.record(10_000 + second * 2)
    assert throughput.per_second == pytest.approx(2)
    assert throughput.seconds_for(600) == pytest.approx(300)


def test_nothing_is_promised_before_it_can_be_told() -> None:
    throughput = meter(Clock())
    assert throughput.per_second == 0
    assert throughput.seconds_for(100) is None
    throughput.record(1)
    assert throughput.seconds_for(100) is None


def test_what_was_reset_is_measured_anew() -> None:
    clock = Clock()
    throughput = meter(clock)
    for reading in (0, 100):
        throughput.record(reading)
        clock.now += 10
    throughput.reset()
    assert (throughput.measured_seconds, throughput.per_second) == (0, 0)
    for reading in (500, 520):
        throughput.record(reading)
        clock.now += 10
    assert (throughput.measured_seconds, throughput.per_second) == (10, 2)


@pytest.mark.parametrize(
    ("seconds", "description"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7320, "2 h 02 min")],
)
def test_lengths_of_time_are_given_as_people_say_them(seconds: float, description: str) -> None:
    assert format_duration(seconds) == description
