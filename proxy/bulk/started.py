"""What bulk runs have in common: their components, started and closed again, and their runner."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from proxy.bulk.events import Stopping
from proxy.bulk.outages import OutageRetry
from proxy.bulk.runner import Runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.app.wiring import Components
    from proxy.bulk.checkpoint import RunProgress
    from proxy.bulk.events import OriginalDone
    from proxy.bulk.reporters import Reporter
    from proxy.bulk.stop import Stop


@asynccontextmanager
async def started(components: Components, *, with_queue: bool = False) -> AsyncIterator[None]:
    """Yield with the store, the scratch folder and the render processes started, and optionally the queue."""
    async with AsyncExitStack() as stack:
        stack.enter_context(components.scratch.opened())
        await components.store.start()
        stack.push_async_callback(components.store.close)
        if with_queue:
            await components.queue.connect()
            stack.push_async_callback(components.queue.disconnect)
        stack.push_async_callback(components.render_pool.close)
        await components.render_pool.start()
        yield


def store_runner(
    components: Components, *, concurrency: int, progress: RunProgress, stop: Stop, reporter: Reporter
) -> Runner[OriginalDone]:
    """Return a runner that waits while the store is unavailable, and reports what it still has to end when it stops."""
    return Runner(
        concurrency=concurrency,
        progress=progress,
        outage_retry=OutageRetry(check=components.store.check, stop=stop, emit=reporter.emit),
        stop=stop,
        reporter=reporter,
        on_stop=lambda underway: reporter.emit(Stopping(detail=stop.reason, advice=stop.advice, in_progress=underway)),
    )
