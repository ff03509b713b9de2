"""How much is taken on of an original, and where it is worked on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.derivatives.timeouts import PageTimeouts

if TYPE_CHECKING:
    from pipeline.protocol import Limits
    from proxy.system.scratch import ScratchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPolicy:
    """What `DerivativeService` goes by."""

    max_bytes: int
    limits: Limits
    scratch: ScratchSpace
    conditional_writes: bool = False
    """What a page view found missing is written only where nothing is yet."""
    timeouts: PageTimeouts = field(default_factory=PageTimeouts)
