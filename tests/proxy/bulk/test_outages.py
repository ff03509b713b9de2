"""Retries during an outage, and their end."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from proxy.bulk.events import RetryScheduled
from proxy.bulk.outages import OutagePolicy, OutageRetry
from proxy.bulk.stop import Stop, Stopped
from proxy.errors import GaveUp, QueueUnavailable, StoreRefused, StoreUnavailable
from tests.proxy.bulk.runs import QUICK, Heard
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Troubled:
    """A call that raises the given errors one after another, then succeeds; its check raises `away`."""

    def __init__(self, *outage_retry: Exception, away: Exception | None = None, policy: OutagePolicy = QUICK) -> None:
        self.left = list(outage_retry)
        self.away = away
        self.heard = Heard()
        self.stop = Stop()
        self.outage_retry = OutageRetry(check=self.check, stop=self.stop, emit=self.heard.emit, policy=policy)

    async def ask(self) -> str:
        if self.left:
            raise self.left.pop(0)
        return "answer"

    async def check(self) -> None:
        if self.away:
            raise self.away


async def test_what_passes_is_told_and_outlasted() -> None:
    one = Troubled(StoreUnavailable("busy"), QueueUnavailable("busy"), away=StoreUnavailable("busy"))
    assert await one.outage_retry.call(one.ask) == "answer"
    codes = [event.code for event in one.heard.events if isinstance(event, RetryScheduled)]
    assert codes == ["store-unavailable", "queue-unavailable"]


async def test_what_does_not_pass_is_raised_at_once() -> None:
    one = Troubled(StoreRefused("policy"))
    with pytest.raises(StoreRefused):
        await one.outage_retry.call(one.ask)
    assert one.heard.events == []


async def test_what_stays_although_all_is_well_is_raised() -> None:
    one = Troubled(*[StoreUnavailable("broken")] * 9)
    with pytest.raises(StoreUnavailable, match="broken"):
        await one.outage_retry.call(one.ask)
    assert len(one.left) == 9 - QUICK.attempts


async def test_a_store_that_stays_away_is_given_up() -> None:
    one = Troubled(*[StoreUnavailable("away")] * 1000, away=StoreUnavailable("away"))
    with anyio.fail_after(10), pytest.raises(GaveUp, match="away"):
        await one.outage_retry.call(one.ask)


async def test_a_run_that_is_stopped_waits_for_nobody() -> None:
    one = Troubled(StoreUnavailable("away"), policy=OutagePolicy(first_seconds=1000, longest_seconds=1000))
    waiting = asyncio.create_task(one.outage_retry.call(one.ask))

    async def told() -> bool:
        return bool(one.heard.events)

    await until(told)
    with anyio.fail_after(10):
        one.stop.request("enough")
        with pytest.raises(Stopped):
            await waiting


def test_waits_double_up_to_the_longest() -> None:
    waits = [OutagePolicy(first_seconds=1, longest_seconds=30).wait_seconds(tries) for tries in range(1, 60)]
    assert 0.8 <= waits[0] <= 1.2
    assert 1.6 <= waits[1] <= 2.4
    assert all(24 <= wait <= 36 for wait in waits[5:])
