"""Builds every part of the service, joins them, starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide

from pipeline.wire import Limits
from proxy import metrics
from proxy.cache import Remembered
from proxy.derivatives import Derivatives, Memory, Terms
from proxy.errors import ImagesError
from proxy.jobs import Jobs
from proxy.keys import PrefixLayout, SiteLayout
from proxy.limiter import Limiter
from proxy.ports import answering_prometheus
from proxy.queues.open import open_queue
from proxy.readiness import Readiness
from proxy.recipe import Recipe
from proxy.renderers import Renderers
from proxy.routes.documents import openapi, write_in
from proxy.routes.errors import answer_error
from proxy.routes.files import files_route
from proxy.routes.health import healthz, readyz
from proxy.routes.images import images_route
from proxy.routes.jobs import get_job, post_job, replay_job
from proxy.routes.observe import observe
from proxy.scratch import Scratch, scratch_place
from proxy.settings import split
from proxy.signature import Verifier
from proxy.stores.files import FileStore
from proxy.stores.measured import MeasuredStore
from proxy.work import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from litestar.types import ASGIApp
    from saq import Queue

    from proxy.keys import Layout
    from proxy.settings import Settings
    from proxy.stores.base import Store

log = structlog.get_logger(__name__)

MEBIBYTE = 1 << 20
DAY_SECONDS = 86_400

KNOWN_ENTRIES, KNOWN_SECONDS = 50_000, 60.0
"""Derivatives remembered to be there; about 200 bytes each, so 10 MB when full."""

ABSENT_ENTRIES, ABSENT_SECONDS = 10_000, 30.0
"""Originals remembered not to be there, as long as callers are told to keep that answer."""

FAILURE_ENTRIES, FAILURE_SECONDS = 10_000, 3600.0
"""Originals remembered to be refused; as long as their bytes stay the same nothing else can come of them."""

WATCH_SECONDS = 1.0
"""How often the length of the queue is read for the series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What lives as long as the service, joined and not yet started."""

    store: Store
    queue: Queue
    recipe: Recipe
    renderers: Renderers
    derivatives: Derivatives
    jobs: Jobs
    readiness: Readiness
    scratch: Scratch
    draining: asyncio.Event
    """Set when the service should take nothing more on."""


def build(settings: Settings) -> Parts:
    """Make every part; nothing is opened or started yet."""
    store = MeasuredStore(FileStore(Path(settings.store.removeprefix("file://"))))
    queue = open_queue(settings.queue, name="derivatives")
    recipe = Recipe(sizes=settings.sizes, layout=_layout(settings), cache_control=settings.cache_control)
    renderers = Renderers(
        limiter=Limiter(slots=settings.workers, waiting=settings.waiting),
        deadline_seconds=settings.render_timeout_seconds,
    )
    scratch = Scratch(scratch_place())
    terms = Terms(
        max_bytes=settings.max_upload_mb * MEBIBYTE,
        limits=Limits(pixels=settings.max_pixels),
        scratch=scratch,
    )
    jobs = Jobs(
        queue=queue,
        recipe=recipe,
        queue_size=settings.queue_size,
        keep_seconds=round(settings.job_keep_days * DAY_SECONDS),
    )
    return Parts(
        store=store,
        queue=queue,
        recipe=recipe,
        renderers=renderers,
        derivatives=Derivatives(store=store, renderers=renderers, recipe=recipe, memory=_memory(), terms=terms),
        jobs=jobs,
        readiness=Readiness({"store": store.check, "queue": jobs.waiting, "renderers": renderers.check}),
        scratch=scratch,
        draining=asyncio.Event(),
    )


def create_app(parts: Parts, settings: Settings) -> ASGIApp:
    """Give everything that answers requests as one ASGI application; `running` must hold around it."""
    fixed_headers = [(b"x-content-type-options", b"nosniff")]
    if settings.timing_allow_origin:
        fixed_headers.append((b"timing-allow-origin", settings.timing_allow_origin.encode()))
    return observe(routes(parts, settings), fixed_headers=fixed_headers)


def routes(parts: Parts, settings: Settings) -> Litestar:
    """Give every route, with the parts that it calls."""
    images = images_route(
        parts.derivatives, public_base_url=settings.public_base_url, max_age_seconds=settings.redirect_max_age
    )
    files = files_route(parts.store, layout=parts.recipe.layout)
    app = Litestar(
        route_handlers=[images, files, post_job, get_job, replay_job, healthz, readyz],
        dependencies={
            "jobs": _given(parts.jobs),
            "verifier": _given(Verifier(split(settings.webhook_secrets))),
            "readiness": _given(parts.readiness),
            "public_base_url": _given(settings.public_base_url),
        },
        exception_handlers={Exception: answer_error},
        cors_config=CORSConfig(allow_origins=split(settings.cors_origins)) if settings.cors_origins else None,
        openapi_config=openapi(),
        logging_config=None,
    )
    write_in(app.openapi_schema)
    return app


@asynccontextmanager
async def running(parts: Parts, settings: Settings) -> AsyncIterator[None]:
    """Start the parts from the bottom up; stop them from the top down, when the block ends.

    Raises:
        ImagesError: a part cannot start; its sentence says what to do.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(parts.scratch.opened())
        await parts.store.start()
        stack.push_async_callback(parts.store.close)
        await parts.queue.connect()
        stack.push_async_callback(parts.queue.disconnect)
        stack.push_async_callback(parts.renderers.close)
        await parts.renderers.start()
        await stack.enter_async_context(_working(parts, settings))
        await stack.enter_async_context(_background(_watch(parts.jobs)))
        if settings.metrics_port:
            stack.enter_context(answering_prometheus(host=settings.host, port=settings.metrics_port))
        parts.readiness.is_open = True
        log.info("started", host=settings.host, port=settings.port, store=settings.store)
        yield
        parts.readiness.is_open = False
        log.info("stopping", grace_seconds=settings.grace_seconds)


@asynccontextmanager
async def _working(parts: Parts, settings: Settings) -> AsyncIterator[None]:
    worker = Worker(
        queue=parts.queue,
        derivatives=parts.derivatives,
        concurrency=settings.workers,
        grace_seconds=settings.grace_seconds,
    )
    working = asyncio.create_task(worker.start())
    try:
        async with _background(_stop_when(parts.draining, worker)):
            yield
    finally:
        worker.event.set()
        await working


async def _stop_when(draining: asyncio.Event, worker: Worker) -> None:
    await draining.wait()
    worker.event.set()


@asynccontextmanager
async def _background(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(jobs: Jobs) -> None:
    while True:
        try:
            depth, oldest_seconds = await jobs.waiting()
        except ImagesError as fault:
            log.warning("queue_not_read", detail=str(fault))
        else:
            metrics.queue_depth.set(depth)
            metrics.queue_oldest_seconds.set(oldest_seconds)
        await asyncio.sleep(WATCH_SECONDS)


def _given(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)


def _layout(settings: Settings) -> Layout:
    names = tuple(size.name for size in settings.sizes)
    if settings.key_layout == "site":
        return SiteLayout(sizes=names, originals_prefix=settings.originals_prefix)
    formats = {size.name: size.format for size in settings.sizes if size.format}
    return PrefixLayout(sizes=names, formats=formats, originals_prefix=settings.originals_prefix)


def _memory() -> Memory:
    return Memory(
        known=Remembered(entries=KNOWN_ENTRIES, seconds=KNOWN_SECONDS),
        absent=Remembered(entries=ABSENT_ENTRIES, seconds=ABSENT_SECONDS),
        failures=Remembered(entries=FAILURE_ENTRIES, seconds=FAILURE_SECONDS),
    )
