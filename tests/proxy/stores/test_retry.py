"""Tests of retries and deadlines of store calls."""

from __future__ import annotations

import time

import anyio
import pytest

from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.retry import SLOWEST_BYTES_PER_SECOND, Attempt, StoreRetryPolicy, with_retries

BRIEF = StoreRetryPolicy(attempts=3, first_seconds=0.001, attempt_seconds=0.05, total_seconds=5)


class Troubled:
    """A store double that raises `troubles` in order, then succeeds."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.asked = 0

    async def ask(self, _attempt: Attempt) -> str:
        """Count the call, then raise the next error or return."""
        self.asked += 1
        if self.troubles:
            raise self.troubles.pop(0)
        return "answer"


@pytest.mark.anyio
async def test_an_answer_ends_the_asking() -> None:
    store = Troubled(StoreUnavailable("once"), TimeoutError())
    assert await with_retries(store.ask, BRIEF) == "answer"
    assert store.asked == 3


@pytest.mark.anyio
async def test_the_last_trouble_is_told() -> None:
    store = Troubled(*(StoreUnavailable(f"trouble {number}") for number in range(3)))
    with pytest.raises(StoreUnavailable, match="trouble 2"):
        await with_retries(store.ask, BRIEF)


@pytest.mark.anyio
async def test_what_will_not_pass_is_asked_once() -> None:
    store = Troubled(StoreRefused("never"))
    with pytest.raises(StoreRefused):
        await with_retries(store.ask, BRIEF)
    assert store.asked == 1


@pytest.mark.anyio
@pytest.mark.parametrize("retry_policy", [BRIEF, StoreRetryPolicy(attempts=1000, attempt_seconds=5, total_seconds=0.1)])
async def test_silence_ends_in_time(retry_policy: StoreRetryPolicy) -> None:
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="did not respond in time"):
        await with_retries(forever, retry_policy)
    assert time.monotonic() - started < 3


async def forever(_attempt: Attempt) -> None:
    await anyio.sleep_forever()


@pytest.mark.anyio
async def test_bytes_that_were_announced_get_the_time_that_a_slow_line_needs() -> None:
    hasty = StoreRetryPolicy(attempts=3, attempt_seconds=0.05, total_seconds=0.1)

    async def move(attempt: Attempt) -> str:
        attempt.move(SLOWEST_BYTES_PER_SECOND)
        await anyio.sleep(0.3)
        return "moved"

    assert await with_retries(move, hasty) == "moved"


@pytest.mark.anyio
async def test_bytes_that_are_announced_again_and_again_do_not_lengthen_the_whole_each_time() -> None:
    hasty = StoreRetryPolicy(attempts=1000, first_seconds=0.001, attempt_seconds=0.05, total_seconds=0.1)
    started = time.monotonic()

    async def stall(attempt: Attempt) -> None:
        attempt.move(SLOWEST_BYTES_PER_SECOND // 5)
        await anyio.sleep_forever()

    with pytest.raises(StoreUnavailable, match="did not respond in time"):
        await with_retries(stall, hasty)
    assert time.monotonic() - started < 1
