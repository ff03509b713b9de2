"""How long a page view or a job spends in the store, in queues and in renders."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Timings:
    """Durations in seconds, added up as they occur, so that a failed request reports them too."""

    store_seconds: float = 0.0
    """Waiting for the store's responses and moving bytes."""
    wait_seconds: float = 0.0
    """Queueing: for the lock on the original, for scratch space, for a slot and memory."""
    render_seconds: float = 0.0
    """Reading the original's header, and rendering."""
    ready_seconds: dict[str, float] = field(default_factory=dict)
    """By the name of each rendered size, from the start of the render until its file was complete, without waiting."""

    @property
    def total_seconds(self) -> float:
        """The sum of all durations."""
        return self.store_seconds + self.wait_seconds + self.render_seconds

    @contextmanager
    def measure_store(self) -> Iterator[None]:
        """Add the duration of the block to `store_seconds`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.store_seconds += time.perf_counter() - started

    @contextmanager
    def measure_wait(self) -> Iterator[None]:
        """Add the duration of the block to `wait_seconds`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.wait_seconds += time.perf_counter() - started

    @contextmanager
    def measure_render(self) -> Iterator[None]:
        """Add the duration of the block to `render_seconds`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.render_seconds += time.perf_counter() - started

    def add(self, other: Timings) -> None:
        """Add the durations of `other`."""
        self.store_seconds += other.store_seconds
        self.wait_seconds += other.wait_seconds
        self.render_seconds += other.render_seconds
        self.ready_seconds = {**self.ready_seconds, **other.ready_seconds}
