"""How fast jobs end, so that a sender can be told when to come back."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from proxy.concurrency.throughput import LEAST_SECONDS, MOST_SECONDS, UNKNOWN_SECONDS, QueueThroughput


@dataclass
class Clock:
    """Tells the time that it is told."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def worked(*, jobs_a_second: float, seconds: int, waiting: int = 64) -> QueueThroughput:
    """Give what was seen of one worker, second by second."""
    clock = Clock()
    pace = QueueThroughput(clock)
    for second in range(seconds + 1):
        pace.record({"worker": int(second * jobs_a_second)}, waiting=waiting)
        clock.seconds += 1
    return pace


def test_a_sender_is_told_to_come_back_when_half_of_the_line_will_be_gone() -> None:
    assert worked(jobs_a_second=4, seconds=60).seconds_until_half_done(64) == 8
    assert worked(jobs_a_second=0.5, seconds=60).seconds_until_half_done(64) == 64


def test_before_anything_was_seen_it_is_a_guess() -> None:
    assert QueueThroughput().seconds_until_half_done(64) == UNKNOWN_SECONDS
    assert worked(jobs_a_second=4, seconds=10).seconds_until_half_done(64) == UNKNOWN_SECONDS


def test_a_line_that_does_not_move_is_worth_the_longest_wait() -> None:
    assert worked(jobs_a_second=0, seconds=60).seconds_until_half_done(64) == MOST_SECONDS


def test_only_the_last_two_minutes_count() -> None:
    clock = Clock()
    pace = QueueThroughput(clock)
    for second in range(600):
        pace.record({"worker": second * 100 if second < 300 else 30_000 + second}, waiting=64)
        clock.seconds += 1
    assert pace.seconds_until_half_done(64) == 32


def test_time_without_work_does_not_count() -> None:
    clock = Clock()
    pace = QueueThroughput(clock)
    for second in range(100):
        pace.record({"worker": 0}, waiting=0 if second < 60 else 64)
        clock.seconds += 1
    for second in range(30):
        pace.record({"worker": second * 4}, waiting=64)
        clock.seconds += 1
    assert pace.seconds_until_half_done(64) < 25


def test_the_last_pace_is_remembered_when_the_line_was_empty_meanwhile() -> None:
    pace = worked(jobs_a_second=4, seconds=60)
    pace.record({"worker": 240}, waiting=0)
    assert pace.seconds_until_half_done(64) == 8


def test_workers_come_go_and_begin_anew() -> None:
    clock = Clock()
    pace = QueueThroughput(clock)
    pace.record({"gone": 500, "anew": 90}, waiting=64)
    clock.seconds += 60
    pace.record({"anew": 3, "new": 120}, waiting=64)
    assert pace.seconds_until_half_done(64) == 16


@given(
    st.lists(st.tuples(st.dictionaries(st.sampled_from("abc"), st.integers(0, 10**6)), st.integers(0, 10**5))),
    st.integers(0, 10**6),
)
def test_whatever_was_seen_the_answer_lies_between_floor_and_ceiling(
    seen: list[tuple[dict[str, int], int]], waiting: int
) -> None:
    clock = Clock()
    pace = QueueThroughput(clock)
    for ended, waited in seen:
        pace.record(ended, waiting=waited)
        clock.seconds += 7
    assert LEAST_SECONDS <= pace.seconds_until_half_done(waiting) <= MOST_SECONDS
