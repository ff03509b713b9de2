"""The components of the service, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from proxy import metrics
from proxy.observability.exposition import serving_metrics
from proxy.observability.monitor import observe_memory, watch_queue, watch_readiness
from proxy.queues.worker import running_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from proxy.app.wiring import CallbackDelivery, Components
    from proxy.queues.worker import QueueWorker
    from proxy.settings.settings import Settings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(parts: Components, settings: Settings) -> AsyncIterator[None]:
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
        observe_memory()
        # Before any work is taken: whose port is taken ends, and would first finish what it has.
        if settings.metrics_port:
            stack.enter_context(serving_metrics(host=settings.host, port=settings.metrics_port))
        if parts.outgoing is not None:
            await stack.enter_async_context(_delivering(parts.outgoing, draining=parts.draining))
        if parts.worker is not None:
            await stack.enter_async_context(_working(parts.worker, draining=parts.draining))
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


@asynccontextmanager
async def _delivering(outgoing: CallbackDelivery, *, draining: asyncio.Event) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        await outgoing.queue.connect()
        stack.push_async_callback(outgoing.queue.disconnect)
        await outgoing.courier.start()
        stack.push_async_callback(outgoing.courier.close)
        await stack.enter_async_context(_working(outgoing.worker, draining=draining))
        yield


@asynccontextmanager
async def _working(worker: QueueWorker, *, draining: asyncio.Event) -> AsyncIterator[None]:
    async with running_worker(worker), _background(_stop_when(draining, worker)):
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
