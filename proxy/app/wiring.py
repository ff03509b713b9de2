"""Builds and connects every component; nothing is opened or started here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

from pipeline.protocol import Limits
from proxy.app.intake import build_events, build_uploads
from proxy.app.key_layouts import former_layouts, live_layout, written_layout
from proxy.app.public_hosts import is_read_by_browsers
from proxy.app.public_urls import public_addresses
from proxy.app.removal_wiring import build_late_writes, build_takedowns
from proxy.concurrency.admission import Admission
from proxy.concurrency.ttl_cache import TtlCache
from proxy.derivatives.cache import DerivativeCache
from proxy.derivatives.picture.lookups import Pictures
from proxy.derivatives.policy import GenerationPolicy
from proxy.derivatives.reader import READER_BYTES, READERS, BlobReader
from proxy.derivatives.recipe import Recipe
from proxy.derivatives.service import DerivativeService
from proxy.facts.reader import FactsReader
from proxy.http.protocol.connections import Connections, default_connections
from proxy.jobs.control import JobControl
from proxy.jobs.service import JobService
from proxy.jobs.takedown.tombstones import Tombstones
from proxy.jobs.worker import JobWorker
from proxy.keys.layouts import is_original
from proxy.keys.syntax import url
from proxy.observability.readiness import Readiness
from proxy.queues.factory import open_queue
from proxy.rendering.memory_budget import render_budget
from proxy.rendering.pool import RenderPool
from proxy.settings.validators import split
from proxy.stores.factory import StoreConfig, open_probe, open_store
from proxy.stores.instrumented import InstrumentedStore
from proxy.stores.probe.gate import StoreGate
from proxy.stores.remembered import RememberedBlobs
from proxy.system.scratch import ScratchSpace, scratch_budget, scratch_place
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.dispatcher import Dispatcher
from proxy.webhooks.handled import HandledMessages
from proxy.webhooks.outbox import Outbox
from proxy.webhooks.signature import Signer, Verifier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.intake.events.reactions import BucketEvents
    from proxy.intake.uploads.upload_service import UploadService
    from proxy.keys.addresses import PublicAddresses
    from proxy.queues.base import JobQueue
    from proxy.removal.late_writes import LateWrites
    from proxy.removal.takedowns import Takedowns
    from proxy.settings.settings import Settings
    from proxy.stores.base import Store
    from proxy.stores.probe.write_probe import WriteProbe
    from proxy.ui.plots.history import History
    from proxy.webhooks.allowlist import AllowList
    from proxy.webhooks.client import WebhookClient

MEBIBYTE = 1 << 20
DAY_SECONDS = 86_400

KNOWN_ENTRIES, KNOWN_SECONDS, KNOWN_STALE_SECONDS = 10_000, 60.0, DAY_SECONDS
"""Existing derivatives: cached for a minute, then looked up again. While the store fails, they count as existing for a
day more. The cache takes 4.6 MB when full."""

ABSENT_ENTRIES, ABSENT_SECONDS = 2_500, 30.0
"""Missing originals: cached for as long as clients may cache the response. The cache takes 1 MB when full."""

FAILURE_ENTRIES, FAILURE_SECONDS = 2_500, 3600.0
"""Originals that were refused or failed: a result holds for as long as the bytes stay the same. The cache takes 1 MB
when full, and some 0.4 MB of messages."""

FREE_CACHE_MB = 8
"""The size of the cache of streamed derivatives that is part of the memory that the service needs beside renders."""

PAGE_VIEW_RENDERS = 2
"""How many renders run at once with WORKERS=0, when only page views render: the default of WORKERS."""

PAGE_VIEW_CONNECTIONS = 20
"""Connections to the store beyond those for uploads: for page views that look a derivative up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackDelivery:
    """The queue, the client and the worker that deliver callbacks."""

    queue: JobQueue
    webhook_client: WebhookClient
    worker: Dispatcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The components that live as long as the service, connected but not started."""

    store: Store
    store_gate: StoreGate
    queue: JobQueue
    recipe: Recipe
    render_pool: RenderPool
    derivatives: DerivativeService
    facts: FactsReader
    pictures: Pictures
    jobs: JobService
    control: JobControl
    takedowns: Takedowns
    worker: JobWorker | None
    """None if jobs run on other machines."""
    callback_delivery: CallbackDelivery | None
    """None if no callbacks are allowed."""
    reader: BlobReader
    connections: Connections
    events: BucketEvents
    verifier: Verifier
    handled: HandledMessages
    uploads: UploadService
    readiness: Readiness
    scratch: ScratchSpace
    history: History | None = None
    """The series that pages plot; None without pages."""
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the service stops accepting work."""

    def drain(self) -> None:
        """Stop accepting work, and report the service as not ready."""
        self.readiness.is_open = False
        self.draining.set()


def build(settings: Settings) -> Components:
    """Build every component; nothing is opened or started yet."""
    opened = open_store(store_config(settings))
    gate = StoreGate(build_probe(opened, settings).run)
    store = InstrumentedStore(opened, gate=gate, probe_key=settings.probe_key)
    queue = open_queue(settings.queue, name="derivatives")
    remembered = RememberedBlobs(room_bytes=settings.stream_cache_mb * MEBIBYTE, seconds=KNOWN_SECONDS)
    scratch, recipe = build_scratch(settings), _recipe(settings)
    render_pool = _render_pool(settings, scratch)
    late_writes = build_late_writes(settings, store=store, recipe=recipe, tombstones=Tombstones(queue))
    policy = _policy(settings, scratch, late_writes)
    allow_list = parse_allow_list(split(settings.callback_hosts))
    callback_queue = open_queue(settings.queue, name="callbacks")
    derivatives = DerivativeService(
        store=store, render_pool=render_pool, recipe=recipe, cache=_derivative_cache(remembered), policy=policy
    )
    facts = FactsReader(store=store, render_pool=render_pool, recipe=recipe, policy=policy)
    addresses = public_addresses(settings, is_absolute=True)
    pictures = Pictures(store=store, derivatives=derivatives, addresses=addresses)
    outbox = Outbox(queue=callback_queue, allow_list=allow_list, keep_seconds=_keep_seconds(settings))
    jobs = _jobs(settings, queue=queue, outbox=outbox, derivatives=derivatives, addresses=addresses)
    takedowns = build_takedowns(
        settings, KNOWN_SECONDS, queue=queue, jobs=jobs, derivatives=derivatives, late_writes=late_writes, gate=gate
    )
    control, handled = JobControl(queue=queue, jobs=jobs), HandledMessages(queue)
    return Components(
        store=store,
        store_gate=gate,
        queue=queue,
        recipe=recipe,
        render_pool=render_pool,
        derivatives=derivatives,
        facts=facts,
        pictures=pictures,
        jobs=jobs,
        control=control,
        takedowns=takedowns,
        worker=_worker(queue, derivatives, jobs, settings, gate=gate, pictures=pictures, takedowns=takedowns),
        callback_delivery=_callback_delivery(callback_queue, allow_list, jobs, facts, settings),
        reader=BlobReader(store, remembered=remembered, may_remember=derivatives.accepts),
        connections=_http_connections(settings),
        events=build_events(settings, store=store, derivatives=derivatives, jobs=jobs),
        verifier=Verifier(split(settings.webhook_secrets), origin=settings.public_origin),
        handled=handled,
        uploads=build_uploads(settings, store=store, jobs=jobs, handled=handled, scratch=scratch),
        readiness=_readiness(partial(_check_store, store, gate), jobs, render_pool, scratch, control),
        scratch=scratch,
        history=_history(settings),
    )


def _history(settings: Settings) -> History | None:
    if not settings.ui:
        return None
    # Imported only here: a service without pages needs no part of them.
    from proxy.ui.plots.history import History  # noqa: PLC0415 - see above

    return History()


def _readiness(
    check_store: Callable[[], Awaitable[None]],
    jobs: JobService,
    render_pool: RenderPool,
    scratch: ScratchSpace,
    control: JobControl,
) -> Readiness:
    return Readiness(
        {"store": check_store, "queue": jobs.check, "renderers": render_pool.check, "scratch": scratch.check},
        read_pause=control.paused_since,
    )


def _http_connections(settings: Settings) -> Connections:
    most = settings.max_connections or default_connections()
    return Connections(most=most, idle_seconds=settings.keep_alive_seconds)


def _recipe(settings: Settings) -> Recipe:
    return Recipe(
        sizes=settings.sizes,
        layout=written_layout(settings),
        cache_control=settings.cache_control,
        other_layouts=former_layouts(settings),
    )


def _render_pool(settings: Settings, scratch: ScratchSpace) -> RenderPool:
    admission = Admission(
        slots=settings.workers or PAGE_VIEW_RENDERS,
        budget_bytes=render_budget(settings.memory_budget_mb, beside_bytes=stream_bytes(settings)),
        waiting=settings.waiting,
    )
    return RenderPool(
        admission=admission,
        deadline_seconds=settings.render_timeout_seconds,
        sandbox=settings.sandbox,
        work_folder=scratch.own_folder,
    )


def _keep_seconds(settings: Settings) -> int:
    return round(settings.job_keep_days * DAY_SECONDS)


def _jobs(
    settings: Settings, *, queue: JobQueue, outbox: Outbox, derivatives: DerivativeService, addresses: PublicAddresses
) -> JobService:
    return JobService(
        queue=queue,
        outbox=outbox,
        recipe=derivatives.recipe,
        addresses=addresses,
        queue_size=settings.queue_size,
        keep_seconds=_keep_seconds(settings),
        clear_failures=derivatives.clear_failures,
    )


def _policy(settings: Settings, scratch: ScratchSpace, late_writes: LateWrites) -> GenerationPolicy:
    return GenerationPolicy(
        max_bytes=settings.max_upload_mb * MEBIBYTE,
        limits=Limits(pixels=settings.max_pixels),
        conditional_writes=settings.conditional_writes,
        scratch=scratch,
        is_taken_down=late_writes.tombstones.is_known_taken_down,
        remove_late=late_writes.remove_if_taken_down,
    )


async def _check_store(store: Store, gate: StoreGate) -> None:
    """Raise unless the store responds now and passed its last write probe."""
    await store.check()
    await gate.check()


def build_probe(store: Store, settings: Settings) -> WriteProbe:
    """Build the write probe of the store, with the URL at which browsers read it, if they do."""
    is_read = settings.store.startswith("s3://") and settings.delivery == "redirect"
    is_url = not settings.public_base_url.startswith("/")  # a path is relative to the address of a proxy
    public_url = url(settings.public_base_url, settings.probe_key) if is_read and is_url else None
    return open_probe(store, key=settings.probe_key, public_url=public_url)


def _worker(
    queue: JobQueue,
    derivatives: DerivativeService,
    jobs: JobService,
    settings: Settings,
    *,
    gate: StoreGate,
    pictures: Pictures,
    takedowns: Takedowns,
) -> JobWorker | None:
    if not settings.workers:
        return None
    return JobWorker(
        queue=queue,
        derivatives=derivatives,
        complete_job=jobs.complete,
        store_gate=gate,
        pictures=pictures,
        takedown=takedowns,
        concurrency=settings.workers,
        grace_seconds=settings.grace_seconds,
    )


def _callback_delivery(
    queue: JobQueue, allow_list: AllowList, jobs: JobService, facts: FactsReader, settings: Settings
) -> CallbackDelivery | None:
    if not settings.callback_hosts:
        return None
    # Imported only here: httpx costs memory that a service without callbacks saves.
    from proxy.webhooks.client import WebhookClient  # noqa: PLC0415 - see above

    secrets = split(settings.callback_secrets or settings.webhook_secrets)
    webhook_client = WebhookClient(allow_list, Signer(secrets))
    worker = Dispatcher(
        queue=queue,
        webhook_client=webhook_client,
        complete_job=jobs.complete,
        read_facts=facts.read if secrets else None,
        grace_seconds=settings.grace_seconds,
    )
    return CallbackDelivery(queue=queue, webhook_client=webhook_client, worker=worker)


def build_scratch(settings: Settings) -> ScratchSpace:
    """Build the scratch space, whose room depends on the disk of TMPDIR."""
    place = scratch_place()
    room_bytes = settings.scratch_mb * MEBIBYTE or scratch_budget(place, least_bytes=settings.max_upload_mb * MEBIBYTE)
    return ScratchSpace(place, room=Admission(budget_bytes=room_bytes))


def store_name(settings: Settings) -> str:
    """Return a name that identifies the store: the name of a bucket is unique only at its endpoint."""
    return f"{settings.store} at {settings.s3_endpoint_url}" if settings.s3_endpoint_url else settings.store


def store_config(settings: Settings) -> StoreConfig:
    """Return the address of the store and the options for connecting to it."""
    return StoreConfig(
        store=settings.store,
        endpoint_url=settings.s3_endpoint_url or None,
        region=settings.aws_region or None,
        addressing=cast("Literal['auto', 'path', 'virtual']", settings.s3_addressing),
        acl=settings.s3_acl,
        public_address=partial(url, settings.originals_base_url) if settings.originals_base_url else None,
        is_seen_by_browsers=is_read_by_browsers(settings, settings.originals_base_url),
        is_original=partial(is_original, live_layout(settings)),
        connections=connections(settings),
    )


def connections(settings: Settings) -> int:
    """Return how many connections to the store may be in use at once.

    Jobs and page views that render upload all sizes at once; others look a derivative up, or read a blob for a client.
    """
    writers = settings.workers + settings.workers + settings.waiting  # one per job, one per admitted page view
    return writers * len(settings.sizes) + PAGE_VIEW_CONNECTIONS + _readers(settings)


def _readers(settings: Settings) -> int:
    return READERS if settings.delivery == "stream" else 0


def stream_bytes(settings: Settings) -> int:
    """Return the memory of responses that are streamed to clients; 0 if page views are redirected.

    What exceeds `FREE_CACHE_MB` of the cache is added.
    """
    beyond = max(0, settings.stream_cache_mb - FREE_CACHE_MB) * MEBIBYTE
    return _readers(settings) * READER_BYTES + beyond


def _derivative_cache(remembered: RememberedBlobs) -> DerivativeCache:
    return DerivativeCache(
        known=TtlCache(entries=KNOWN_ENTRIES, seconds=KNOWN_SECONDS, stale_seconds=KNOWN_STALE_SECONDS),
        absent=TtlCache(entries=ABSENT_ENTRIES, seconds=ABSENT_SECONDS),
        failures=TtlCache(entries=FAILURE_ENTRIES, seconds=FAILURE_SECONDS),
        remembered=remembered,
    )
