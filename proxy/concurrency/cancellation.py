"""The end of tasks that run until they are cancelled, although a library may swallow a cancellation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

AGAIN_SECONDS: Final = 1.0
"""How long a cancelled task may take to end before it is cancelled again."""


async def cancel(tasks: Iterable[asyncio.Task[None]], *, again_seconds: float = AGAIN_SECONDS) -> None:
    """Cancel tasks until all of them have ended.

    A call of a client library that ends while it is cancelled may return as if it had not been. A loop around that call
    would then continue for ever, and its caller would wait for ever. `asyncio.wait_for` does so before Python 3.12, if
    the awaitable is done when the cancellation arrives (python/cpython#86296). redis-py writes each command with it if
    `socket_timeout` is set. SAQ's `cancel_tasks` swallows the cancellation of its caller with any version.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_seconds)
