"""How much is taken on of an original, and where it is worked on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.derivatives.timeouts import Haste

if TYPE_CHECKING:
    from pipeline.protocol import Limits
    from proxy.system.scratch import Scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What `Derivatives` goes by."""

    max_bytes: int
    limits: Limits
    scratch: Scratch
    conditional_writes: bool = False
    """What a page view found missing is written only where nothing is yet."""
    haste: Haste = field(default_factory=Haste)
