"""A callback of a job that is done has the facts, read when it is sent; the queue never has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
import structlog

from loadtest.servers.receiver import receiving
from loadtest.servers.service import SECRET
from pipeline.errors import Corrupt
from proxy.errors import NotFound, StoreUnavailable
from proxy.queues.factory import open_queue
from proxy.queues.worker import running_worker
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.client import WebhookClient
from proxy.webhooks.dispatcher import Dispatcher
from proxy.webhooks.outbox import Callback, Outbox
from proxy.webhooks.signature import Signer
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from loadtest.servers.receiver import Receiver

pytestmark = pytest.mark.anyio

SECRET_PLACE = "52.123456"


class Found(msgspec.Struct):
    """Facts as far as these tests need them."""

    place: str


async def read(key: str) -> Found:
    return Found(place=f"{SECRET_PLACE} of {key}")


async def hang(_: str) -> Found:
    await asyncio.Event().wait()
    raise AssertionError


def failing(error: Exception) -> Callable[[str], Awaitable[Found]]:
    async def fail(_: str) -> Found:
        raise error

    return fail


async def delivered(
    folder: Path,
    receiver: Receiver,
    read_facts: Callable[[str], Awaitable[Found]] | None,
    *,
    kind: str = "job.done",
    times: int = 1,
) -> dict[str, object]:
    """Deliver one callback, and return the job in the last attempt."""
    queue = open_queue(f"sqlite:////{folder}/queue.db", name="callbacks")
    await queue.connect()
    allow_list = parse_allow_list([receiver.listed])
    client = WebhookClient(allow_list, Signer([SECRET]))
    await client.start()
    outbox = Outbox(queue=queue, allow_list=allow_list, keep_seconds=600)
    dispatcher = Dispatcher(
        queue=queue,
        webhook_client=client,
        complete_job=ended,
        read_facts=read_facts,
        facts_seconds=0.05 if read_facts is hang else 30,
        grace_seconds=30,
        waits_seconds=(0.01, 0.01),
    )
    body = f'{{"type":"{kind}","timestamp":"2026-11-23T00:00:00Z","data":{{"id":"1","key":"a_original.jpg","x":null}}}}'

    async def look() -> bool:
        return len(receiver.received) >= times

    async with running_worker(dispatcher):
        await outbox.enqueue_callback(Callback(id="1-1", url=receiver.url, body=body))
        await until(look)
    await client.close()
    await queue.disconnect()
    return receiver.received[-1].event.data


async def ended(_: str) -> bool:
    return True


async def test_a_done_job_has_facts_and_the_signature_covers_them(tmp_path: Path) -> None:
    with receiving() as receiver:
        job = await delivered(tmp_path, receiver, read)
    facts = {"place": f"{SECRET_PLACE} of a_original.jpg"}
    assert job == {"id": "1", "key": "a_original.jpg", "x": None, "facts": facts}
    assert receiver.forged == 0
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"a_original.jpg" in stored
    assert SECRET_PLACE.encode() not in stored


async def test_each_attempt_reads_them_again(tmp_path: Path) -> None:
    calls: list[str] = []

    async def counted(key: str) -> Found:
        calls.append(key)
        return Found(place=str(len(calls)))

    with receiving(statuses=(500,)) as receiver:
        job = await delivered(tmp_path, receiver, counted, times=2)
    assert job["facts"] == {"place": "2"}
    assert calls == ["a_original.jpg"] * 2


@pytest.mark.parametrize(
    ("read_facts", "code"),
    [
        (failing(NotFound(f"gone {SECRET_PLACE}")), "not-found"),
        (failing(StoreUnavailable(SECRET_PLACE)), "store-unavailable"),
        (failing(Corrupt(SECRET_PLACE, cause=SECRET_PLACE)), "corrupt"),
        (hang, "timed-out"),
    ],
)
async def test_a_failure_to_read_leaves_null_and_a_line_without_values(
    tmp_path: Path, read_facts: Callable[[str], Awaitable[Found]], code: str
) -> None:
    with receiving() as receiver, structlog.testing.capture_logs() as lines:
        job = await delivered(tmp_path, receiver, read_facts)
    assert job["facts"] is None
    (line,) = (line for line in lines if line["event"] == "callback_facts_unread")
    assert line["code"] == code
    assert SECRET_PLACE not in str(lines)


async def test_a_failed_job_and_a_service_that_signs_nothing_have_none(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with receiving() as receiver:
        assert "facts" not in await delivered(tmp_path, receiver, read, kind="job.error")
    with receiving() as receiver:
        assert "facts" not in await delivered(tmp_path_factory.mktemp("other"), receiver, None)
