"""The service: every way in, joined to the parts that do the work, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide

from proxy import metrics
from proxy.checks import split
from proxy.deliveries import Deliveries
from proxy.errors import ImagesError
from proxy.ports import answering_prometheus
from proxy.routes.desk import Desk
from proxy.routes.documents import openapi, write_in
from proxy.routes.errors import answer_error
from proxy.routes.files import files_route
from proxy.routes.health import healthz, readyz
from proxy.routes.images import images_route
from proxy.routes.jobs import get_job, jobs_options, list_jobs, post_job, replay_job
from proxy.routes.observe import observe
from proxy.routes.purge import purge_route
from proxy.signature import Verifier
from proxy.work import Worker
from proxy.workers import at_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from litestar.types import ASGIApp

    from proxy.jobs import Jobs
    from proxy.parts import Outgoing, Parts
    from proxy.settings import Settings
    from proxy.workers import QueueWorker

log = structlog.get_logger(__name__)

WATCH_SECONDS = 1.0
"""How often the length of the queue is read for the series."""


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
    verifier = Verifier(split(settings.webhook_secrets))
    mounts = [images, purge_route(parts.derivatives, verifier=verifier)]
    has_files = settings.store.startswith("file://")  # a bucket is read where it is public
    if has_files:
        mounts.append(files_route(parts.store, layout=parts.recipe.layout))
    app = Litestar(
        route_handlers=[*mounts, jobs_options, post_job, list_jobs, get_job, replay_job, healthz, readyz],
        dependencies={
            "desk": _given(Desk(jobs=parts.jobs, verifier=verifier, public_base_url=settings.public_base_url)),
            "readiness": _given(parts.readiness),
        },
        exception_handlers={Exception: answer_error},
        cors_config=CORSConfig(allow_origins=split(settings.cors_origins)) if settings.cors_origins else None,
        openapi_config=openapi(),
        logging_config=None,
    )
    write_in(app.openapi_schema, sizes=parts.recipe.names, has_files=has_files)
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
        if parts.outgoing is not None:
            await stack.enter_async_context(_delivering(parts.outgoing, parts, settings))
        if settings.workers:
            await stack.enter_async_context(_working(_worker(parts, settings), draining=parts.draining))
        await stack.enter_async_context(_background(_watch(parts.jobs)))
        if settings.metrics_port:
            stack.enter_context(answering_prometheus(host=settings.host, port=settings.metrics_port))
        parts.readiness.is_open = True
        log.info(
            "started",
            store=settings.store,
            queue=settings.queue.partition("://")[0],
            workers=settings.workers,
            render_budget_mb=parts.renderers.budget_bytes >> 20,
        )
        yield
        parts.readiness.is_open = False
        log.info("stopping", grace_seconds=settings.grace_seconds)


def _worker(parts: Parts, settings: Settings) -> Worker:
    return Worker(
        queue=parts.queue,
        derivatives=parts.derivatives,
        endings=parts.endings,
        concurrency=settings.workers,
        grace_seconds=settings.grace_seconds,
    )


@asynccontextmanager
async def _delivering(outgoing: Outgoing, parts: Parts, settings: Settings) -> AsyncIterator[None]:
    queue, courier = outgoing.queue, outgoing.courier
    async with AsyncExitStack() as stack:
        await queue.connect()
        stack.push_async_callback(queue.disconnect)
        await courier.start()
        stack.push_async_callback(courier.close)
        worker = Deliveries(queue=queue, courier=courier, endings=parts.endings, grace_seconds=settings.grace_seconds)
        await stack.enter_async_context(_working(worker, draining=parts.draining))
        yield


@asynccontextmanager
async def _working(worker: QueueWorker, *, draining: asyncio.Event) -> AsyncIterator[None]:
    async with at_work(worker), _background(_stop_when(draining, worker)):
        yield


async def _stop_when(draining: asyncio.Event, worker: QueueWorker) -> None:
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
    is_told = False
    while True:
        try:
            depth, oldest_seconds = await jobs.waiting()
        except ImagesError as fault:
            if not is_told:
                log.warning("queue_not_read", detail=str(fault))
            is_told = True
        else:
            is_told = False
            metrics.queue_depth.set(depth)
            metrics.queue_oldest_seconds.set(oldest_seconds)
        await asyncio.sleep(WATCH_SECONDS)


def _given(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
