"""Starts and stops the components of the service in order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog

from proxy import metrics
from proxy.app.start_faults import explained, queue_fault, scratch_fault, store_fault
from proxy.concurrency.cancellation import cancel
from proxy.observability.exposition import serving_metrics
from proxy.observability.gauges import observe_memory, watch_queue, watch_readiness
from proxy.queues.worker import running_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from proxy.app.wiring import CallbackDelivery, Components
    from proxy.queues.worker import QueueWorker
    from proxy.settings.settings import Settings

log = structlog.get_logger(__name__)

FOLLOWING_SECONDS = 2.0
"""How long sizes that follow a page view may continue at shutdown; the next page view generates what is missing."""


@asynccontextmanager
async def running(components: Components, settings: Settings) -> AsyncIterator[None]:
    """Run the components for the length of the block: start each after those it needs, and stop them in reverse.

    Raises:
        ImagesError: a component cannot start; the message contains the remedy.
    """
    async with AsyncExitStack() as stack:
        with explained(scratch_fault):
            stack.enter_context(components.scratch.opened())
        with explained(partial(store_fault, settings=settings)):
            await components.store.start()
        stack.push_async_callback(components.store.close)
        with explained(partial(queue_fault, settings=settings)):
            await components.queue.connect()
        stack.push_async_callback(components.queue.disconnect)
        stack.push_async_callback(components.render_pool.close)
        following_seconds = min(FOLLOWING_SECONDS, settings.grace_seconds)
        stack.push_async_callback(components.derivatives.close, grace_seconds=following_seconds)
        stack.push_async_callback(components.pictures.close)
        stack.push_async_callback(components.events.close)
        await components.render_pool.start()
        await stack.enter_async_context(_background(components.store_gate.watch()))
        metrics.workers.set(settings.workers)
        observe_memory()
        # Before the workers start: if the port is in use, startup fails, and jobs already taken would have to finish
        # first.
        if settings.metrics_port:
            stack.enter_context(serving_metrics(host=settings.host, port=settings.metrics_port))
        if components.callback_delivery is not None:
            await stack.enter_async_context(_delivering(components.callback_delivery, draining=components.draining))
        if components.worker is not None:
            await stack.enter_async_context(_working(components.worker, draining=components.draining))
        await stack.enter_async_context(_background(watch_queue(components.jobs, components.control)))
        if components.history is not None:
            await stack.enter_async_context(_background(components.history.watch()))
        components.readiness.is_open = True
        await stack.enter_async_context(_background(watch_readiness(components.readiness)))
        log.info(
            "started",
            store=settings.store,
            queue=settings.queue.partition("://")[0],
            workers=settings.workers,
            render_budget_mb=components.render_pool.budget_bytes >> 20,
            sandbox=components.render_pool.sandbox,
        )
        yield
        components.readiness.is_open = False
        log.info("stopping", grace_seconds=settings.grace_seconds)


@asynccontextmanager
async def _delivering(callback_delivery: CallbackDelivery, *, draining: asyncio.Event) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        await callback_delivery.queue.connect()
        stack.push_async_callback(callback_delivery.queue.disconnect)
        await callback_delivery.webhook_client.start()
        stack.push_async_callback(callback_delivery.webhook_client.close)
        await stack.enter_async_context(_working(callback_delivery.worker, draining=draining))
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
        await cancel([task])
        if not task.cancelled() and (fault := task.exception()):
            raise fault
