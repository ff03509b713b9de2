"""Ids of jobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from proxy.jobs.job_ids import JobIds, former_id, random_id
from proxy.queues.factory import open_queue

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio


async def opened(path: Path) -> JobQueue:
    queue = open_queue(f"sqlite:////{path}", name="test")
    await queue.connect()
    return queue


async def test_a_message_has_one_id_in_all_processes_and_another_in_another_queue(tmp_path: Path) -> None:
    one, same, other = [await opened(tmp_path / name) for name in ("a.db", "a.db", "b.db")]
    ids = [await JobIds(queue).of_message("webhook-id\nmsg_1") for queue in (one, same, other)]
    assert ids[0] == ids[1]
    assert len({*ids, former_id("webhook-id\nmsg_1"), random_id()}) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", job_id) for job_id in (*ids, random_id()))
    for queue in (one, same, other):
        await queue.disconnect()


async def test_messages_have_different_ids(tmp_path: Path) -> None:
    queue = await opened(tmp_path / "a.db")
    ids = JobIds(queue)
    assert len({await ids.of_message(f"msg_{number}") for number in range(100)}) == 100
    await queue.disconnect()
