"""The policy for generating derivatives: limits, scratch space and timeouts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.derivatives.store_timeouts import PageTimeouts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.protocol import Limits
    from proxy.system.scratch import ScratchSpace


async def _never(_original: str) -> bool:
    return False


async def _nothing(_original: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPolicy:
    """The limits, scratch space and timeouts of a `DerivativeService`."""

    max_bytes: int
    limits: Limits
    scratch: ScratchSpace
    conditional_writes: bool = False
    """Whether derivatives that were missing are written only if nothing is under their keys yet."""
    look_seconds: float = 1.0
    """How long a look at the original counts: uploads that begin later look again whether it was replaced."""
    is_taken_down: Callable[[str], Awaitable[bool]] = _never
    """Returns whether an original was taken down, so that nothing may be uploaded of it."""
    remove_late: Callable[[str], Awaitable[None]] = _nothing
    """Removes all that is left of derivatives which were stored after their original was taken down."""
    timeouts: PageTimeouts = field(default_factory=PageTimeouts)
