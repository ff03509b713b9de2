"""What is done because of an event: the store decides, so late, repeated and reordered events do no harm."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy import metrics
from proxy.concurrency.admission import Admission
from proxy.derivatives.recipe import ETAG, PROFILE
from proxy.errors import BadEvent, BadSignature, BadToken, Busy, NotFound, StoreUnavailable
from proxy.intake.events.reactions import DETAILS, BucketEvents, EventPolicy, HandledEvent, Outcome
from proxy.intake.events.sns.inbox import SnsInbox
from proxy.jobs.request import JobRequest
from proxy.jobs.service import JobService
from proxy.jobs.takedown.tombstones import Tombstone
from proxy.keys.addresses import PublicAddresses
from proxy.keys.shadow import REPLACED, Shadow
from proxy.queues.factory import open_queue
from proxy.rendering.pool import RenderPool
from proxy.stores.base import Attributes
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.outbox import Outbox
from tests.proxy.conftest import ORIGINAL, SIZES, CountingStore, open_derivatives
from tests.proxy.intake.events.sns.conftest import Sns
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio

QUEUE_SIZE = 3

POLICY = EventPolicy(token="tok", bucket="galls", probe_key="gallformers-images/write-probe", removes=True)


@dataclass(kw_only=True)
class Desk:
    """What events are handled with: a store in memory, and a queue without workers."""

    store: CountingStore
    jobs: JobService
    events: BucketEvents
    photo: Path

    async def upload(self, key: str = ORIGINAL) -> str:
        """Put an original into the store, and return its ETag."""
        return (await self.store.put(key, self.photo, Attributes())).etag

    async def plant(self, key: str = ORIGINAL, *, etag: str) -> None:
        """Put every derivative of an original into the store, as if rendered from the bytes of that ETag."""
        for size in SIZES:
            name = key.replace("_original", f"_{size.name}")
            await self.store.put(name, self.photo, Attributes(metadata={ETAG: etag, PROFILE: "p"}))

    async def handle(self, *events: tuple[str, str], bucket: str = "galls") -> list[str]:
        """Deliver events in one body; return their outcomes."""
        return [one.outcome for one in await self.events.handle(body(*events, bucket=bucket))]

    async def kept(self) -> set[str]:
        return {blob.key async for blob in self.store.list()}

    async def waiting(self) -> int:
        return (await self.jobs.waiting())[0]


def body(*events: tuple[str, str], bucket: str = "galls") -> bytes:
    """Return events in Amazon's form."""
    records = [
        {"eventName": f"Object{change}", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}
        for change, key in events
    ]
    return msgspec.json.encode({"Records": records})


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    one = open_queue(f"sqlite:////{tmp_path}/queue.db", name="test")
    await one.connect()
    yield one
    await one.disconnect()


@pytest.fixture
def desk(queue: JobQueue, policy: GenerationPolicy, photo: Path) -> Desk:
    return desk_of(queue, policy, photo)


def desk_of(
    queue: JobQueue,
    policy: GenerationPolicy,
    photo: Path,
    *,
    events: EventPolicy = POLICY,
    answer_seconds: float = 600,
    sns: SnsInbox | None = None,
) -> Desk:
    store = CountingStore(Counter())
    idle = RenderPool(admission=Admission(slots=1, budget_bytes=1, waiting=1), deadline_seconds=1)
    derivatives = open_derivatives(store, idle, policy=policy)
    layout = derivatives.recipe.layout
    others = tuple(Shadow(live=layout, prefix=prefix) for prefix in (REPLACED, "shadow/"))
    derivatives.recipe = replace(derivatives.recipe, other_layouts=others)
    jobs = JobService(
        queue=queue,
        outbox=Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=600),
        recipe=derivatives.recipe,
        addresses=PublicAddresses("/files"),
        queue_size=QUEUE_SIZE,
        keep_seconds=600,
    )
    handling = BucketEvents(
        policy=events, store=store, derivatives=derivatives, jobs=jobs, sns=sns, answer_seconds=answer_seconds
    )
    return Desk(store=store, jobs=jobs, events=handling, photo=photo)


PUT, DELETED = ("Created:Put", ORIGINAL), ("Removed:Delete", ORIGINAL)


async def test_a_new_original_gets_a_job_that_is_queued_before_the_answer(desk: Desk) -> None:
    await desk.upload()
    (handled,) = await desk.events.handle(body(PUT))
    job = await desk.jobs.get(handled.job)
    assert (handled.outcome, job.key, job.status) == ("queued", ORIGINAL, "queued")
    assert handled.detail.endswith(".")


async def test_a_repeated_event_makes_no_second_job(desk: Desk) -> None:
    await desk.upload()
    handled = [one.job for body_ in [body(PUT), body(PUT, PUT)] for one in await desk.events.handle(body_)]
    assert (len(handled), len({*handled}), await desk.waiting()) == (2, 1, 1)


async def test_an_original_whose_derivatives_are_up_to_date_gets_no_job(desk: Desk) -> None:
    etag = await desk.upload()
    await desk.plant(etag=etag)
    assert (await desk.handle(PUT), await desk.waiting()) == (["fresh"], 0)


async def test_an_original_that_was_replaced_gets_a_job(desk: Desk) -> None:
    await desk.upload()
    await desk.plant(etag="of other bytes")
    assert await desk.handle(PUT) == ["queued"]


async def test_an_original_of_which_one_size_is_missing_gets_a_job(desk: Desk) -> None:
    await desk.plant(etag=await desk.upload())
    await desk.store.delete(ORIGINAL.replace("original", "large"))
    assert await desk.handle(PUT) == ["queued"]


async def test_the_derivatives_of_a_removed_original_are_deleted(desk: Desk) -> None:
    await desk.plant(etag="any")
    await desk.plant("gall/9/9_1_original.jpg", etag="any")
    assert await desk.handle(DELETED) == ["purged"]
    assert {key.partition("_")[0] for key in await desk.kept()} == {"gall/9/9"}
    assert await desk.handle(DELETED) == ["purged"]


async def test_they_are_kept_unless_removals_count(queue: JobQueue, policy: GenerationPolicy, photo: Path) -> None:
    desk = desk_of(queue, policy, photo, events=replace(POLICY, removes=False))
    await desk.plant(etag="any")
    assert (await desk.handle(DELETED), len(await desk.kept())) == (["kept"], len(SIZES))


async def test_a_removal_that_comes_late_does_not_delete_what_is_there_again(desk: Desk) -> None:
    await desk.plant(etag=await desk.upload())
    assert (await desk.handle(DELETED), len(await desk.kept())) == (["fresh"], 1 + len(SIZES))
    assert await desk.handle(PUT, DELETED) == ["fresh"]


async def test_a_creation_that_comes_late_makes_no_job(desk: Desk) -> None:
    assert (await desk.handle(PUT), await desk.waiting()) == (["missing"], 0)


async def test_an_original_that_is_uploaded_during_the_purge_gets_a_job(desk: Desk) -> None:
    heads = 0

    async def upload_at_the_last_look() -> None:
        nonlocal heads
        heads += 1
        if heads == 1 + len(SIZES):  # the original, then what the purge looks at
            desk.store.after_head = None
            await desk.upload()

    await desk.plant(etag="any")
    desk.store.after_head = upload_at_the_last_look
    assert await desk.handle(DELETED) == ["queued"]


@pytest.mark.parametrize(
    ("key", "outcome"),
    [
        ("gall/58/58_1_small.jpg", "own"),
        ("shadow/gall/58/58_1_small.jpg", "own"),
        ("replaced/gall/58/58_1_small.jpg", "own"),
        ("replaced/anything", "own"),
        ("gallformers-images/write-probe", "own"),
        ("gall/58/58_1_formersize.jpg", "no-original"),
        ("gall/58/", "no-original"),
        ("", "no-original"),
        ("/gall/1_original.jpg", "no-original"),
        ("gall/../1_original.jpg", "no-original"),
        ("gall//1_original.jpg", "no-original"),
        (".uploads/1a08/0001_original.jpg", "no-original"),
        ("gall/.hidden_original.jpg", "no-original"),
        ("gall/._1_original.jpg", "no-original"),
        ("gall/1_original.jpg.versions/v_original", "no-original"),
        ("gall/\x00_original.jpg", "no-original"),
        ("gall/%ff_original.jpg", "missing"),
        (f"{'a' * 1024}_original.jpg", "no-original"),
    ],
)
@pytest.mark.parametrize("change", ["Created:Put", "Removed:Delete"])
async def test_what_is_no_original_costs_no_call_of_the_store(desk: Desk, change: str, key: str, outcome: str) -> None:
    outcome = "purged" if (outcome, change) == ("missing", "Removed:Delete") else outcome
    assert (await desk.handle((change, key)), await desk.waiting()) == ([outcome], 0)
    assert bool(desk.store.calls) == (outcome in {"missing", "purged"})


async def test_other_buckets_and_other_changes_cost_no_call_of_the_store(desk: Desk) -> None:
    await desk.upload()
    desk.store.calls.clear()
    assert await desk.handle(PUT, bucket="other") == ["other-bucket"]
    assert await desk.handle(("Tagging:Put", ORIGINAL)) == ["other-change"]
    assert not desk.store.calls


async def test_of_a_folder_as_store_the_name_of_the_bucket_is_not_checked(
    queue: JobQueue, policy: GenerationPolicy, photo: Path
) -> None:
    desk = desk_of(queue, policy, photo, events=replace(POLICY, bucket=""))
    await desk.upload()
    assert await desk.handle(PUT, bucket="whatever") == ["queued"]


async def test_a_full_queue_refuses_the_body_and_a_later_delivery_does_the_rest(desk: Desk) -> None:
    keys = [f"gall/{number}/{number}_1_original.jpg" for number in range(QUEUE_SIZE + 2)]
    for key in keys:
        await desk.upload(key)
    with pytest.raises(Busy) as full:
        await desk.handle(*(("Created:Put", key) for key in keys))
    assert (full.value.retry_after_seconds > 0, await desk.waiting()) == (True, QUEUE_SIZE)


async def test_a_failure_of_the_store_is_for_the_sender_to_repeat(desk: Desk) -> None:
    async def fail() -> None:
        raise StoreUnavailable("The store is unavailable.")

    desk.store.after_head = fail
    with pytest.raises(StoreUnavailable):
        await desk.handle(PUT)


async def test_a_sender_is_told_to_repeat_what_takes_too_long_and_a_purge_goes_on(
    queue: JobQueue, policy: GenerationPolicy, photo: Path
) -> None:
    desk, proceed, is_slow = desk_of(queue, policy, photo, answer_seconds=0.05), asyncio.Event(), False

    async def stall_after_the_first_look() -> None:
        nonlocal is_slow
        if is_slow:
            await proceed.wait()
        is_slow = True

    await desk.plant(etag="any")
    desk.store.after_head = stall_after_the_first_look
    with pytest.raises(Busy, match="send them again"):
        await desk.handle(DELETED)
    proceed.set()

    async def look() -> bool | None:
        return not await desk.kept() or None

    await until(look)
    await desk.events.close()


async def test_what_came_of_events_is_counted(desk: Desk) -> None:
    before = metrics.events_total.labels("other-bucket")._value.get()  # noqa: SLF001 - the library has no public name
    await desk.handle(PUT, PUT, ("Created:Put", "gall/2/2_1_original.jpg"), bucket="other")
    assert metrics.events_total.labels("other-bucket")._value.get() == before + 2  # noqa: SLF001 - see above


async def test_a_message_of_sns_is_opened_and_one_about_the_subscription_is_no_event(
    queue: JobQueue, policy: GenerationPolicy, photo: Path
) -> None:
    sender = Sns(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    fetching = httpx.MockTransport(lambda _: httpx.Response(200, content=sender.certificate))
    desk = desk_of(queue, policy, photo, sns=SnsInbox(transport=fetching))
    await desk.upload()
    notification = msgspec.json.encode(sender.message("Notification", body(PUT).decode()))
    ended = msgspec.json.encode(sender.message("UnsubscribeConfirmation", "Ended", Token="t", SubscribeURL="https://x"))
    handled = await desk.events.handle(b"[" + ended + b"," + notification + b"]")
    assert [(one.key, one.outcome) for one in handled] == [(ORIGINAL, "queued")]
    assert await desk.events.handle(ended) == ()
    with pytest.raises(BadSignature):
        await desk.events.handle(notification.replace(b"Created", b"Removed"))


def test_every_outcome_is_exported_from_the_start_and_explained() -> None:
    exported = {sample.labels["outcome"] for sample in next(iter(metrics.events_total.collect())).samples}
    assert exported == {*get_args(Outcome)} == {*DETAILS}


async def test_a_job_of_an_event_joins_the_job_of_a_post(desk: Desk) -> None:
    await desk.upload()
    posted = await desk.jobs.submit(JobRequest(key=ORIGINAL, callback_url=""))
    assert await desk.events.handle(body(PUT)) == (
        HandledEvent(
            bucket="galls",
            key=ORIGINAL,
            outcome="queued",
            detail="A job renders the derivatives of this original.",
            job=posted.id,
        ),
    )


async def test_an_event_does_not_bring_back_what_was_taken_down(desk: Desk) -> None:
    await desk.jobs.tombstones.add(ORIGINAL, Tombstone(at=0, job_id="0" * 32))
    await desk.upload()
    assert (await desk.handle(PUT), await desk.waiting()) == (["taken-down"], 0)
    assert await desk.jobs.tombstones.is_taken_down(ORIGINAL)


async def test_nothing_is_done_if_any_event_of_a_body_is_unreadable(desk: Desk) -> None:
    await desk.upload()
    with pytest.raises(BadEvent):
        await desk.events.handle(b"[" + body(PUT) + b", {}]")
    assert await desk.waiting() == 0


async def test_without_a_token_no_sender_is_accepted(queue: JobQueue, policy: GenerationPolicy, photo: Path) -> None:
    desk = desk_of(queue, policy, photo, events=replace(POLICY, token=""))
    with pytest.raises(NotFound, match="EVENTS_TOKEN"):
        desk.events.check_sender(authorization="Bearer ", in_query="")


async def test_a_sender_needs_the_token(desk: Desk) -> None:
    desk.events.check_sender(authorization="Bearer tok", in_query=None)
    with pytest.raises(BadToken):
        desk.events.check_sender(authorization=None, in_query=None)
