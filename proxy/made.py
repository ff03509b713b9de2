"""What came of looking for a derivative, or of making some."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import Refused
from proxy.errors import TooManyBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    @property
    def is_lasting(self) -> bool:
        """Tell whether something came of these bytes that no other try would change, be it that they are refused."""
        return bool(self.render_seconds) and (self.fault is None or isinstance(self.fault, Refused | TooManyBytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where a derivative is, and how that was found out."""

    key: str
    source: Source


@dataclass(slots=True)
class Spent:
    """Where the time of one page view goes, in seconds; kept along the way, so that it can be told of a failure too."""

    store_seconds: float = 0.0
    wait_seconds: float = 0.0
    render_seconds: float = 0.0

    @contextmanager
    def at_the_store(self) -> Iterator[None]:
        """Count the time of the block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.store_seconds += time.perf_counter() - started

    def add(self, made: Made) -> None:
        """Count what was spent on making something."""
        self.store_seconds += made.store_seconds
        self.wait_seconds += made.wait_seconds
        self.render_seconds += made.render_seconds
