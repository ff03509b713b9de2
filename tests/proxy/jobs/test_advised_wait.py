"""A refused sender is told when to come back by how fast jobs end."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from proxy.jobs.advised_wait import LEAST_SECONDS, MOST_SECONDS, UNKNOWN_SECONDS, AdvisedWait


@dataclass
class Clock:
    """Tells the time that it is told."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def worked(*, jobs_a_second: float, seconds: int, waiting: int = 64) -> AdvisedWait:
    """Give what was seen of one worker, second by second."""
    clock = Clock()
    retry_after = AdvisedWait(clock)
    for second in range(seconds + 1):
        retry_after.record({"worker": int(second * jobs_a_second)}, waiting=waiting)
        clock.seconds += 1
    return retry_after


def test_a_sender_is_told_to_come_back_when_half_of_the_line_will_be_gone() -> None:
    assert worked(jobs_a_second=4, seconds=60).seconds(64) == 8
    assert worked(jobs_a_second=0.5, seconds=60).seconds(64) == 64


def test_before_anything_was_seen_it_is_a_guess() -> None:
    assert AdvisedWait().seconds(64) == UNKNOWN_SECONDS
    assert worked(jobs_a_second=4, seconds=10).seconds(64) == UNKNOWN_SECONDS


def test_a_line_that_does_not_move_is_worth_the_longest_wait() -> None:
    assert worked(jobs_a_second=0, seconds=60).seconds(64) == MOST_SECONDS


def test_only_the_last_two_minutes_count() -> None:
    clock = Clock()
    retry_after = AdvisedWait(clock)
    for second in range(600):
        retry_after.record({"worker": second * 100 if second < 300 else 30_000 + second}, waiting=64)
        clock.seconds += 1
    assert retry_after.seconds(64) == 32


def test_time_without_work_does_not_count() -> None:
    clock = Clock()
    retry_after = AdvisedWait(clock)
    for second in range(100):
        retry_after.record({"worker": 0}, waiting=0 if second < 60 else 64)
        clock.seconds += 1
    for second in range(30):
        retry_after.record({"worker": second * 4}, waiting=64)
        clock.seconds += 1
    assert retry_after.seconds(64) < 25


def test_the_last_pace_is_remembered_when_the_line_was_empty_meanwhile() -> None:
    retry_after = worked(jobs_a_second=4, seconds=60)
    retry_after.record({"worker": 240}, waiting=0)
    assert retry_after.seconds(64) == 8


def test_workers_come_go_and_begin_anew() -> None:
    clock = Clock()
    retry_after = AdvisedWait(clock)
    retry_after.record({"gone": 500, "anew": 90}, waiting=64)
    clock.seconds += 60
    retry_after.record({"anew": 3, "new": 120}, waiting=64)
    assert retry_after.seconds(64) == 16


@given(
    st.lists(st.tuples(st.dictionaries(st.sampled_from("abc"), st.integers(0, 10**6)), st.integers(0, 10**5))),
    st.integers(0, 10**6),
)
def test_whatever_was_seen_the_answer_lies_between_floor_and_ceiling(
    seen: list[tuple[dict[str, int], int]], waiting: int
) -> None:
    clock = Clock()
    retry_after = AdvisedWait(clock)
    for ended, waited in seen:
        retry_after.record(ended, waiting=waited)
        clock.seconds += 7
    assert LEAST_SECONDS <= retry_after.seconds(waiting) <= MOST_SECONDS
