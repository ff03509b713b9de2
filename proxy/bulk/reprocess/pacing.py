"""Originals that need something, no faster than they may be begun; those that need nothing cost no time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.bulk.events import OriginalDone
    from proxy.bulk.reprocess.inspect import Inspector
    from proxy.bulk.reprocess.throttle import Throttle
    from proxy.bulk.stop import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottledStep:
    """Looks first, and takes `step` with what is due as soon as that may be."""

    inspector: Inspector
    throttle: Throttle
    step: Callable[[str], Awaitable[OriginalDone]]
    stop: Stop

    async def see_to(self, key: str) -> OriginalDone:
        """Tell what came of an original.

        Raises:
            ImagesError: the original cannot be looked at; what `step` raises.
            Stopped: the run ends before its turn comes.
        """
        inspected = await self.inspector.inspect(key)
        if inspected.result == "fresh":
            return inspected
        await self.throttle.take(self.stop)
        return await self.step(key)
