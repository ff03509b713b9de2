"""The dispatcher on a real queue, with real receivers on loopback."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from loadtest.servers.receiver import Receiver, receiving
from loadtest.servers.service import SECRET
from proxy import metrics
from proxy.concurrency.backoff import JITTER
from proxy.errors import Busy
from proxy.jobs.request import JobRequest
from proxy.jobs.service import JobService
from proxy.jobs.worker import JobWorker
from proxy.keys.addresses import PublicAddresses
from proxy.queues.base import QueueFull
from proxy.queues.factory import open_queue
from proxy.queues.worker import running_worker
from proxy.webhooks.allowlist import AllowList, parse_allow_list
from proxy.webhooks.client import WebhookClient
from proxy.webhooks.dispatcher import LONGEST_WAIT_SECONDS, WAITS_SECONDS, Dispatcher
from proxy.webhooks.outbox import AGAIN_SECONDS, Callback, Outbox
from proxy.webhooks.signature import Signer
from tests.proxy.conftest import ORIGINAL, Workshop
from tests.proxy.stores.scripted import Scripted, answer
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import saq

    from proxy.jobs.job import Job
    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio

OWED_TO_THE_DEAD = 100
"""Callbacks for a dead receiver: two minutes' worth, at four at a time and five seconds each.

Without the limit per receiver, other receivers would have to wait that long.
"""

TOLD_SECONDS = 5.0

BODY = '{"type":"job.done","timestamp":"2026-11-23T00:00:00Z","data":{"id":"1"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The open queues of a service, and what its workers need; another one on the same folder is a restart."""

    workshop: Workshop
    queue: JobQueue
    owed: JobQueue
    jobs: JobService
    outbox: Outbox
    webhook_client: WebhookClient
    waits_seconds: Sequence[float] = field(default=(0.01,) * 3)

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[Dispatcher]:
        """Yield a dispatcher that runs for the duration of the block."""
        one = Dispatcher(
            queue=self.owed,
            webhook_client=self.webhook_client,
            complete_job=self.jobs.complete,
            grace_seconds=30,
            waits_seconds=self.waits_seconds,
        )
        async with running_worker(one):
            yield one

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run a job worker for the duration of the block."""
        worker = JobWorker(
            queue=self.queue,
            derivatives=self.workshop.derivatives,
            complete_job=self.jobs.complete,
            concurrency=2,
            grace_seconds=30,
        )
        async with running_worker(worker):
            yield

    async def order(self, receiver: Receiver, key: str = ORIGINAL) -> Job:
        """Submit a job whose callback is sent to `receiver`."""
        return await self.jobs.submit(JobRequest(key=key, callback_url=receiver.url))

    async def settled(self, key: str) -> saq.Job:
        """Wait until a callback needs no more attempts, and return its queued job."""

        async def look() -> saq.Job | None:
            job = await self.owed.job(key)
            return job if job is not None and job.completed else None

        return await until(look)

    async def waiting(self) -> list[str]:
        """Return the function names of the live jobs in the queue of callbacks."""
        return [job["function"] for job in (await self.owed.info(jobs=True, limit=1000))["jobs"]]


@asynccontextmanager
async def open_house(
    folder: Path,
    workshop: Workshop,
    *entries: str,
    waits_seconds: Sequence[float] = (0.01,) * 3,
    watch_seconds: float = 0.05,
    deadline_seconds: float = 0.5,
) -> AsyncIterator[House]:
    """Yield a service on a folder, without its HTTP server."""
    allow_list: AllowList = parse_allow_list(entries)
    url = f"sqlite:////{folder}/queue.db"
    queue, owed = open_queue(url, name="derivatives"), open_queue(url, name="callbacks")
    outbox = Outbox(queue=owed, allow_list=allow_list, keep_seconds=600, watch_seconds=watch_seconds)
    recipe = workshop.derivatives.recipe
    jobs = JobService(
        queue=queue, outbox=outbox, recipe=recipe, addresses=PublicAddresses("/files"), queue_size=64, keep_seconds=600
    )
    webhook_client = WebhookClient(allow_list, Signer([SECRET]), deadline_seconds=deadline_seconds)
    async with AsyncExitStack() as stack:
        for one in (queue, owed):
            await one.connect()
            stack.push_async_callback(one.disconnect)
        await webhook_client.start()
        stack.push_async_callback(webhook_client.close)
        yield House(
            workshop=workshop,
            queue=queue,
            owed=owed,
            jobs=jobs,
            outbox=outbox,
            webhook_client=webhook_client,
            waits_seconds=waits_seconds,
        )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
async def house(tmp_path: Path, workshop: Workshop, receiver: Receiver) -> AsyncIterator[House]:
    async with open_house(tmp_path, workshop, receiver.listed) as one:
        yield one


def callback(url: str) -> Callback:
    return Callback(id="1-2", url=url, body=BODY)


def counted(outcome: str) -> float:
    (series,) = metrics.callbacks_total.collect()
    return sum(one.value for one in series.samples if one.name.endswith("_total") and one.labels["outcome"] == outcome)


async def told(receiver: Receiver, times: int = 1) -> None:
    """Wait until a receiver has accepted that many callbacks."""
    await until(lambda: has_taken(receiver, times))


async def test_a_callback_that_is_owed_is_delivered_once(house: House, receiver: Receiver) -> None:
    before = counted("delivered")
    async with house.delivering():
        for _ in range(3):
            await house.outbox.enqueue_callback(callback(receiver.url))
        assert (await house.settled("callback:1-2")).result == "delivered"
        await house.outbox.enqueue_callback(callback(receiver.url))
    assert await house.waiting() == []
    assert [(got.id, got.event.data) for got in receiver.received] == [("1-2", {"id": "1"})]
    assert counted("delivered") - before == 1


async def test_a_receiver_that_fails_three_times_gets_it_with_the_fourth(tmp_path: Path, workshop: Workshop) -> None:
    with receiving(statuses=(500, 302, 404)) as receiver:
        async with open_house(tmp_path, workshop, receiver.listed) as house, house.delivering():
            await house.outbox.enqueue_callback(callback(receiver.url))
            await told(receiver)
    assert [got.status for got in receiver.received] == [500, 302, 404, 204]
    assert len({got.id for got in receiver.received}) == 1
    assert len({str(got.event) for got in receiver.received}) == 1


async def test_a_receiver_that_never_takes_it_is_given_up_and_that_is_kept(tmp_path: Path, workshop: Workshop) -> None:
    before = counted("given_up"), counted("put_off")
    with receiving(statuses=(500,) * 100) as receiver:
        async with open_house(tmp_path, workshop, receiver.listed) as house, house.delivering():
            await house.outbox.enqueue_callback(callback(receiver.url))
            assert (await house.settled("callback:1-2")).result == "given_up"
    assert len(receiver.received) == 4
    assert (counted("given_up") - before[0], counted("put_off") - before[1]) == (1, 3)


async def test_a_receiver_that_is_gone_is_not_called_again(tmp_path: Path, workshop: Workshop) -> None:
    with receiving(statuses=(410,)) as receiver:
        async with open_house(tmp_path, workshop, receiver.listed) as house, house.delivering():
            await house.outbox.enqueue_callback(callback(receiver.url))
            assert (await house.settled("callback:1-2")).result == "gone"
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("60", 60), ("0", 1), ("99999999", LONGEST_WAIT_SECONDS), ("never", 1)]
)
async def test_a_receiver_says_when_to_come_back_within_bounds(
    tmp_path: Path, workshop: Workshop, retry_after: str, seconds: float
) -> None:
    busy = answer(503, Retry_After=retry_after)
    async with Scripted(busy) as server, open_house(tmp_path, workshop, server.url, waits_seconds=(1,)) as house:
        async with house.delivering():
            await house.outbox.enqueue_callback(callback(server.url))

            async def put_off() -> saq.Job | None:
                job = await house.owed.job("callback:1-2")
                return job if job is not None and job.meta.get("failures") else None

            job = await until(put_off)
        assert 1 - JITTER <= job.retry_delay / seconds <= 1 + JITTER


def test_what_fails_is_tried_for_about_a_day() -> None:
    assert 23 * 3600 <= sum(WAITS_SECONDS) <= 25 * 3600
    assert list(WAITS_SECONDS) == sorted(WAITS_SECONDS)


async def test_a_receiver_that_was_down_gets_it_from_the_next_start_of_the_service(
    tmp_path: Path, workshop: Workshop
) -> None:
    with receiving(statuses=(503,)) as receiver:
        async with open_house(tmp_path, workshop, receiver.listed, waits_seconds=(1,)) as house, house.delivering():
            await house.outbox.enqueue_callback(callback(receiver.url))

            async def failed() -> bool:
                return bool(receiver.received)

            await until(failed)
        async with open_house(tmp_path, workshop, receiver.listed) as house, house.delivering():
            await told(receiver)
    assert [got.status for got in receiver.received] == [503, 204]


async def test_while_a_callback_is_tried_the_last_wait_is_forgotten(tmp_path: Path, workshop: Workshop) -> None:
    """Otherwise a process that dies meanwhile would delay the callback by hours again."""
    asked = asyncio.Event()

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, open_house(tmp_path, workshop, url) as house:
        await house.outbox.enqueue_callback(callback(url))
        owed = await house.owed.job("callback:1-2")
        assert owed is not None
        await owed.update(retry_delay=28_800.0)
        async with house.delivering():
            async with asyncio.timeout(10):
                await asked.wait()
            tried = await house.owed.job("callback:1-2")
    assert tried is not None
    assert (tried.status, tried.retry_delay) == ("active", AGAIN_SECONDS)


async def test_a_host_that_is_no_longer_listed_gets_nothing(tmp_path: Path, workshop: Workshop) -> None:
    with receiving() as receiver:
        async with open_house(tmp_path, workshop, receiver.listed) as house:
            await house.outbox.enqueue_callback(callback(receiver.url))
        async with open_house(tmp_path, workshop, "example.org") as house, house.delivering():
            assert (await house.settled("callback:1-2")).result == "refused"
            await house.outbox.enqueue_callback(Callback(id="3-4", url=receiver.url, body=BODY))
            assert await house.owed.job("callback:3-4") is None
    assert receiver.received == []


async def test_a_slow_receiver_keeps_nobody_from_working(tmp_path: Path, workshop: Workshop) -> None:
    await workshop.upload()

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, open_house(tmp_path, workshop, url, waits_seconds=(100,)) as house:
        for number in range(20):
            await house.outbox.enqueue_callback(Callback(id=f"{number}-1", url=url, body=BODY))
        async with house.delivering(), house.working():
            job = await house.jobs.submit(JobRequest(key=ORIGINAL))

            async def done() -> bool:
                return (await house.jobs.get(job.id)).status == "done"

            await until(done, seconds=5)
            assert await house.waiting()


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Yield the URL of a server that accepts every request and never responds."""

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def deaf() -> AsyncIterator[str]:
    """Yield the URL of a server whose backlog is full, so that connection attempts time out without a refusal."""
    with ExitStack() as sockets:
        server = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            caller = sockets.enter_context(socket.socket())
            caller.setblocking(False)  # noqa: FBT003 - it accepts no keyword
            with suppress(BlockingIOError):
                caller.connect(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("dead", [silent, deaf])
async def test_a_dead_receiver_that_is_owed_much_keeps_nobody_else_from_being_told(
    tmp_path: Path,
    workshop: Workshop,
    receiver: Receiver,
    dead: Callable[[], AbstractAsyncContextManager[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL", logger="saq")  # else pytest takes longer to print the tracebacks than for the rest
    async with (
        dead() as url,
        open_house(tmp_path, workshop, url, receiver.listed, waits_seconds=(100,), deadline_seconds=5) as house,
    ):
        for number in range(OWED_TO_THE_DEAD):
            await house.outbox.enqueue_callback(Callback(id=f"{number}-1", url=url, body=BODY))
        await house.outbox.enqueue_callback(callback(receiver.url))
        async with house.delivering():
            await until(lambda: has_taken(receiver, 1), seconds=TOLD_SECONDS)
            for number in range(10):
                await house.outbox.enqueue_callback(Callback(id=f"{number}-3", url=receiver.url, body=BODY))
            await until(lambda: has_taken(receiver, 11), seconds=TOLD_SECONDS)
        assert len(await house.waiting()) == OWED_TO_THE_DEAD


async def test_more_than_may_be_on_their_way_at_once_are_told_one_after_another(
    house: House, receiver: Receiver
) -> None:
    for number in range(20):
        await house.outbox.enqueue_callback(Callback(id=f"{number}-1", url=receiver.url, body=BODY))
    async with house.delivering():
        await until(lambda: has_taken(receiver, 20))
    assert len(receiver.received) == 20


async def has_taken(receiver: Receiver, times: int) -> bool:
    return len(receiver.taken()) >= times


async def test_the_end_of_a_job_is_told_at_once_with_its_whole_record(tmp_path: Path, workshop: Workshop) -> None:
    await workshop.upload()
    with receiving() as receiver:
        # No watch task runs within a day, so only the worker that ended the job can have enqueued the callback.
        async with open_house(tmp_path, workshop, receiver.listed, watch_seconds=86_400) as house:
            async with house.working(), house.delivering():
                job = await house.order(receiver)
                await told(receiver)
            ended = await house.jobs.get(job.id)
    (got,) = receiver.received
    assert got.event.type == "job.done"
    assert got.event.data["id"] == job.id
    assert [made["url"] for made in got.event.data["derivatives"]] == [
        f"/files/{made.key}" for made in ended.derivatives
    ]
    assert ended.finished_at is not None
    assert got.event.timestamp == ended.finished_at.isoformat().replace("+00:00", "Z")


async def test_a_job_that_fails_is_told_too(house: House, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"this is not a picture")
    await house.workshop.upload(path=tmp_path / "text")
    async with house.working(), house.delivering():
        await house.order(receiver)
        await told(receiver)
    (got,) = receiver.received
    assert (got.event.type, got.event.data["error"]["code"]) == ("job.error", "not-an-image")


async def test_a_job_whose_worker_could_not_tell_its_end_is_told_by_the_promise(
    house: House, receiver: Receiver
) -> None:
    """The worker was killed after the end of the job and before it enqueued the callback."""
    job = await house.order(receiver)
    queued = await house.queue.job(job.id)
    assert queued is not None
    async with house.delivering():
        await queued.finish(status=queued.status.COMPLETE, result={"derivatives": []})
        await told(receiver)
    assert receiver.jobs() == {job.id}


async def test_a_job_that_is_enqueued_after_the_first_look_of_its_watch_task_is_told(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that enqueued it stood still between the two, and its worker was killed at the end of the job."""
    enqueue, watch = house.queue.enqueue_within, asyncio.Event()

    async def late(size: int, job: saq.Job) -> saq.Job | None:
        await watch.wait()
        return await enqueue(size, job)

    async def looked_twice() -> bool:
        live = (await house.owed.info(jobs=True, limit=10))["jobs"]
        return any(task.get("attempts", 0) > 2 for task in live)

    monkeypatch.setattr(house.queue, "enqueue_within", late)
    async with house.delivering():
        ordered = asyncio.create_task(house.order(receiver))
        await until(looked_twice)
        watch.set()
        queued = await house.queue.job((await ordered).id)
        assert queued is not None
        await queued.finish(status=queued.status.COMPLETE, result={"derivatives": []})
        await told(receiver)
    assert receiver.jobs() == {queued.key}


async def test_a_watch_task_of_a_job_that_was_never_enqueued_gives_up(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.webhooks.dispatcher.UNKNOWN_LOOKS", 3)
    await house.outbox.watch_job("0" * 32, receiver.url)
    async with house.delivering():

        async def forgotten() -> bool:
            return await house.waiting() == []

        await until(forgotten)
    assert receiver.received == []


async def test_a_watch_task_is_removed_if_the_queue_turns_out_to_be_full(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_size: int, _job: saq.Job) -> saq.Job | None:
        raise QueueFull(64)

    monkeypatch.setattr(house.queue, "enqueue_within", full)
    with pytest.raises(Busy):
        await house.order(receiver)
    assert await house.waiting() == []


async def test_a_job_that_was_abandoned_or_aborted_is_told_too(house: House, receiver: Receiver) -> None:
    job = await house.order(receiver)
    queued = await house.queue.job(job.id)
    assert queued is not None
    async with house.delivering():
        await house.queue.abort(queued, "by an operator")
        await told(receiver)
    (got,) = receiver.received
    assert (got.event.type, got.event.data["error"]["code"]) == ("job.error", "abandoned")


async def test_a_promise_waits_as_long_as_its_job_lives_and_is_gone_after_it(house: House, receiver: Receiver) -> None:
    job = await house.order(receiver)
    async with house.delivering():

        async def looked_twice() -> bool:
            live = (await house.owed.info(jobs=True, limit=10))["jobs"]
            return any(watch.get("attempts", 0) > 2 for watch in live)

        await until(looked_twice)
        assert receiver.received == []
        await house.workshop.upload()
        async with house.working():
            await told(receiver)

        async def forgotten() -> bool:
            return await house.waiting() == []

        await until(forgotten)
    assert receiver.jobs() == {job.id}
    assert len(receiver.received) == 1


async def test_a_job_that_is_run_again_is_told_again_under_another_id(house: House, receiver: Receiver) -> None:
    await house.workshop.upload()
    async with house.working(), house.delivering():
        job = await house.order(receiver)
        await told(receiver)
        await house.jobs.replay(job.id)
        await told(receiver, times=2)
    assert len({got.id for got in receiver.received}) == 2
    assert receiver.jobs() == {job.id}


async def test_two_who_order_the_same_original_are_both_told(tmp_path: Path, workshop: Workshop) -> None:
    await workshop.upload()
    with receiving() as one, receiving() as other:
        async with open_house(tmp_path, workshop, one.listed, other.listed) as house:
            first, second = await house.order(one), await house.order(other)
            assert (await house.order(one)).id == first.id
            assert (await house.jobs.submit(JobRequest(key=ORIGINAL))).id == first.id
            async with house.working(), house.delivering():
                await told(one)
                await told(other)
    assert (one.jobs(), other.jobs()) == ({first.id}, {second.id})
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)


async def test_an_order_that_nobody_waits_for_promises_nothing(house: House) -> None:
    await house.jobs.submit(JobRequest(key=ORIGINAL))
    assert await house.waiting() == []
