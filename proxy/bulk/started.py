"""The components of a bulk run, started and closed again."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.app.wiring import Components


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
