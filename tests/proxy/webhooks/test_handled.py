"""Messages that act once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreUnavailable
from proxy.queues.factory import open_queue
from proxy.webhooks.handled import HandledMessages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    one = open_queue(f"sqlite:////{tmp_path}/queue.db", name="test")
    await one.connect()
    yield one
    await one.disconnect()


class Acts:
    """An action that counts how often it is done, and fails as often as it is told to."""

    def __init__(self, *, failures: int = 0) -> None:
        self.done = 0
        self._failures = failures

    async def __call__(self) -> str:
        if self._failures:
            self._failures -= 1
            raise StoreUnavailable("The store is away.")
        self.done += 1
        await asyncio.sleep(0)
        return f"done {self.done}"


async def test_a_message_acts_once_in_all_processes_and_gets_the_same_result(queue: JobQueue) -> None:
    act = Acts()
    for handled in (HandledMessages(queue), HandledMessages(queue)):
        for _ in range(2):
            assert await handled.once("msg_1", what="purge a", act=act) == "done 1"
    assert act.done == 1


async def test_a_message_that_comes_twice_at_once_acts_once(queue: JobQueue) -> None:
    handled, act = HandledMessages(queue), Acts()
    results = await asyncio.gather(*(handled.once("msg_1", what="purge a", act=act) for _ in range(5)))
    assert results == ["done 1"] * 5


async def test_another_message_and_another_action_are_others(queue: JobQueue) -> None:
    handled, act = HandledMessages(queue), Acts()
    await handled.once("msg_1", what="purge a", act=act)
    await handled.once("msg_1", what="purge b", act=act)
    await handled.once("msg_2", what="purge a", act=act)
    assert act.done == 3


async def test_a_message_whose_action_failed_may_act_again(queue: JobQueue) -> None:
    handled, act = HandledMessages(queue), Acts(failures=1)
    with pytest.raises(StoreUnavailable):
        await handled.once("msg_1", what="purge a", act=act)
    assert await handled.once("msg_1", what="purge a", act=act) == "done 1"


async def test_without_an_id_every_request_acts(queue: JobQueue) -> None:
    handled, act = HandledMessages(queue), Acts()
    for _ in range(2):
        await handled.once(None, what="purge a", act=act)
    assert act.done == 2
