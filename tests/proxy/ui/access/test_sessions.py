"""Sessions: signed, bounded in time, and ended on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.errors import QueueUnavailable
from proxy.queues.factory import open_queue
from proxy.ui.access.sessions import SESSION_SECONDS, Sessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio

KEY = b"k" * 32


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    one = open_queue(f"sqlite:////{tmp_path}/queue.db", name="sessions")
    await one.connect()
    yield one
    await one.disconnect()


async def test_a_session_is_read_from_its_cookie_until_it_ends(queue: JobQueue) -> None:
    now = [1000.0]
    sessions = Sessions(queue, key=KEY, clock=lambda: now[0])
    session = sessions.start(is_user=True)
    cookie = sessions.cookie(session)
    assert await sessions.read(cookie) == session
    now[0] += SESSION_SECONDS - 1
    assert await sessions.read(cookie) == session
    now[0] += 1
    assert await sessions.read(cookie) is None


async def test_another_key_reads_no_session_of_ours(queue: JobQueue) -> None:
    cookie = Sessions(queue, key=KEY).cookie(Sessions(queue, key=KEY).start(is_user=True))
    assert await Sessions(queue, key=b"x" * 32).read(cookie) is None


async def test_a_log_out_ends_the_session_on_every_machine(queue: JobQueue) -> None:
    here, there = Sessions(queue, key=KEY), Sessions(queue, key=KEY)
    session = here.start(is_user=True)
    assert await there.read(here.cookie(session)) == session
    await here.end(session)
    assert await there.read(here.cookie(session)) is None


async def test_while_the_queue_is_unreachable_only_log_outs_of_this_process_count(queue: JobQueue) -> None:
    here, there = Sessions(queue, key=KEY), Sessions(queue, key=KEY)
    session = here.start(is_user=True)
    await queue.disconnect()
    with pytest.raises(QueueUnavailable):
        await here.end(session)
    assert await here.read(here.cookie(session)) is None
    assert await there.read(here.cookie(session)) == session


async def test_a_form_token_belongs_to_one_session_and_is_no_cookie(queue: JobQueue) -> None:
    sessions = Sessions(queue, key=KEY)
    one, other = sessions.start(is_user=False), sessions.start(is_user=False)
    assert sessions.has_token(one, sessions.form_token(one))
    assert not sessions.has_token(other, sessions.form_token(one))
    assert sessions.form_token(one) not in sessions.cookie(one)
