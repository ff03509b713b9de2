"""Where the time of a page view or of a job goes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Timings:
    """Seconds spent; counted along the way, so that they can be told of a failure too."""

    store_seconds: float = 0.0
    """Waiting for the store's answers, and moving bytes."""
    wait_seconds: float = 0.0
    """In line: for others who make derivatives of the same original, for room, for a share of slots and memory."""
    render_seconds: float = 0.0
    """Reading the original's header, then rendering."""

    @contextmanager
    def measure_store(self) -> Iterator[None]:
        """Count the time of the block as the store's."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.store_seconds += time.perf_counter() - started

    @contextmanager
    def measure_wait(self) -> Iterator[None]:
        """Count the time of the block as waited."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.wait_seconds += time.perf_counter() - started

    @contextmanager
    def measure_render(self) -> Iterator[None]:
        """Count the time of the block as rendered."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.render_seconds += time.perf_counter() - started

    def add(self, other: Timings) -> None:
        """Count what was spent elsewhere as well."""
        self.store_seconds += other.store_seconds
        self.wait_seconds += other.wait_seconds
        self.render_seconds += other.render_seconds
