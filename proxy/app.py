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
from proxy.derivatives.reader import Reading
from proxy.http.dependencies import Desk
from proxy.http.openapi import openapi, write_in
from proxy.http.problems import answer_error
from proxy.http.protocol.middleware import observe
from proxy.http.routes.files import files_route
from proxy.http.routes.health import healthz, readyz
from proxy.http.routes.images import Redirects, redirecting_route, shortcut, streaming_route
from proxy.http.routes.jobs import get_job, jobs_options, list_jobs, post_job, replay_job
from proxy.http.routes.purge import purge_route
from proxy.jobs.worker import Worker
from proxy.observability.exposition import answering_prometheus
from proxy.observability.monitor import tell_memory, watch_queue, watch_readiness
from proxy.queues.worker import at_work
from proxy.webhooks.dispatcher import Deliveries
from proxy.webhooks.signature import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from litestar.types import ASGIApp

    from proxy.parts import Outgoing, Parts
    from proxy.queues.worker import QueueWorker
    from proxy.settings import Settings

log = structlog.get_logger(__name__)

STREAM = "stream"
ANY_ORIGIN = "*"


def create_app(parts: Parts, settings: Settings) -> ASGIApp:
    """Give everything that answers requests as one ASGI application; `running` must hold around it."""
    fixed_headers = [(b"x-content-type-options", b"nosniff")]
    if settings.timing_allow_origin:
        fixed_headers.append((b"timing-allow-origin", settings.timing_allow_origin.encode()))
    if settings.cors_origins not in {"", ANY_ORIGIN}:
        fixed_headers.append((b"vary", b"origin"))  # also on what is not asked with an origin: a cache may keep it
    if settings.delivery == STREAM:
        return observe(routes(parts, settings), fixed_headers=fixed_headers)
    known = shortcut(parts.derivatives, _redirects(settings), has_cors=bool(settings.cors_origins))
    return observe(routes(parts, settings), fixed_headers=fixed_headers, shortcut=known)


def routes(parts: Parts, settings: Settings) -> Litestar:
    """Give every route, with the parts that it calls."""
    is_streaming = settings.delivery == STREAM
    reading = Reading(parts.store)
    images = (
        streaming_route(parts.derivatives, reading, cache_control=settings.cache_control)
        if is_streaming
        else redirecting_route(parts.derivatives, _redirects(settings))
    )
    verifier = Verifier(split(settings.webhook_secrets))
    mounts = [images, purge_route(parts.derivatives, verifier=verifier)]
    has_files = is_streaming or settings.store.startswith("file://")  # else a bucket is read where it is public
    if has_files:
        mounts.append(files_route(reading, layout=parts.recipe.layout))
    app = Litestar(
        route_handlers=[*mounts, jobs_options, post_job, list_jobs, get_job, replay_job, healthz, readyz],
        dependencies={
            "desk": _given(
                Desk(
                    jobs=parts.jobs,
                    derivatives=parts.derivatives,
                    endings=parts.endings,
                    verifier=verifier,
                    public_base_url=settings.public_base_url,
                )
            ),
            "readiness": _given(parts.readiness),
        },
        exception_handlers={Exception: answer_error},
        cors_config=CORSConfig(allow_origins=split(settings.cors_origins)) if settings.cors_origins else None,
        openapi_config=openapi(),
        logging_config=None,
    )
    write_in(app.openapi_schema, sizes=parts.recipe.names, has_files=has_files, is_streaming=is_streaming)
    return app


def _redirects(settings: Settings) -> Redirects:
    return Redirects(public_base_url=settings.public_base_url, max_age_seconds=settings.redirect_max_age)


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
        stack.push_async_callback(parts.derivatives.close)
        await parts.renderers.start()
        metrics.workers.set(settings.workers)
        tell_memory()
        # Before any work is taken: whose port is taken ends, and would first finish what it has.
        if settings.metrics_port:
            stack.enter_context(answering_prometheus(host=settings.host, port=settings.metrics_port))
        if parts.outgoing is not None:
            await stack.enter_async_context(_delivering(parts.outgoing, parts, settings))
        if settings.workers:
            await stack.enter_async_context(_working(_worker(parts, settings), draining=parts.draining))
        await stack.enter_async_context(_background(watch_queue(parts.jobs)))
        parts.readiness.is_open = True
        await stack.enter_async_context(_background(watch_readiness(parts.readiness)))
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
        worker = Deliveries(
            queue=queue, courier=courier, complete_job=parts.endings.look, grace_seconds=settings.grace_seconds
        )
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


def _given(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
