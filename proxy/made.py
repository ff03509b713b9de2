"""What came of looking for a derivative, or of making some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipeline.errors import Refused
    from proxy.errors import ImagesError
    from proxy.recipe import Derivative

Remake = Literal["missing", "stale", "all"]
"""Which of the wanted derivatives are made: those that are not there; also those made of other bytes or by another
recipe than today's; every one."""

Source = Literal["cache", "store", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The derivatives that were wanted, and how many seconds were spent at the store, in line, rendering.

    Where there is a `fault`, some of them are missing.
    """

    derivatives: tuple[Derivative, ...] = ()
    fault: Refused | ImagesError | None = None
    store_seconds: float = 0.0
    wait_seconds: float = 0.0
    render_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where a derivative is, how that was found out, and what it took if something had to be made."""

    key: str
    source: Source
    store_seconds: float = 0.0
    made: Made | None = None
