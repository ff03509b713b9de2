"""Admission control: slots and bytes of one budget, reserved in order of priority."""

from __future__ import annotations

import asyncio
import itertools
import math
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from proxy.errors import Busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MAX_BYPASSES = 8
"""How many reservations of higher priority may be granted before the first of a lower one is next.

This leaves jobs a ninth of the renders while page views queue. Page views barely notice, and at four renders a second a
job still starts about every two seconds.
"""

RETRY_AFTER_SECONDS = 2
"""The shortest `Retry-After`: every finished render frees a slot, and a render takes about a second."""

_WEIGHT = 0.2
"""The weight of the latest reservation in the moving averages: the last ten or so dominate."""


class Priority(IntEnum):
    """The priority of a reservation; the lowest value is granted first.

    A visitor sees an empty frame during a page view, a client waits for a job, and no client waits for a batch.
    """

    PAGE = 0
    JOB = 1
    BATCH = 2


class Ticket:
    """The priority and the maximum wait of one request, in every queue in which it waits."""

    def __init__(
        self, priority: Priority, *, max_wait_seconds: float | None = None, max_total_seconds: float | None = None
    ) -> None:
        self.priority = priority
        self.max_wait_seconds = max_wait_seconds
        """The longest wait in any one queue that does not move; None waits without a limit."""
        self.max_total_seconds = max_wait_seconds if max_total_seconds is None else max_total_seconds
        """The longest wait in a queue for a slot or memory in which others are granted meanwhile."""
        self.on_priority_change: Callable[[], None] | None = None

    @property
    def is_unbounded(self) -> bool:
        """Whether the request may wait without a limit, as a job that is safe in its queue does."""
        return self.max_wait_seconds is None

    def raise_priority(self, priority: Priority) -> None:
        """Raise the priority to at least `priority`, also in the queue in which the ticket waits."""
        if priority < self.priority:
            self.priority = priority
            if self.on_priority_change:
                self.on_priority_change()


@dataclass(eq=False, slots=True)
class Reservation:
    """A slot and `bytes` of the budget, granted or still waiting."""

    ticket: Ticket
    number: int
    """Arrival order; reservations of equal priority are granted first come, first served."""
    bytes: int
    arrived: float
    """When it was made, in seconds of the event loop's clock."""
    began: float = 0.0
    """When it was last granted, in seconds of the event loop's clock."""
    held_seconds: float = 0.0
    """How long it was held before, with other sizes."""
    bypassed: int = 0
    """The bypass count of its priority when it was granted; `resize` restores it."""
    is_granted: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _RecentUse:
    """Moving averages over recent reservations.

    They start at half a second, as a photograph takes, and at one byte, so that only the slots limit the first
    estimate.
    """

    seconds: float = 0.5
    bytes: float = 1.0

    def record(self, *, seconds: float, size: int) -> None:
        self.seconds += (seconds - self.seconds) * _WEIGHT
        self.bytes += (size - self.bytes) * _WEIGHT


class Admission:
    """An admission controller over `slots` and `budget_bytes`, with at most `waiting` callers beyond the slots.

    The highest priority is granted first, and within a priority the earliest arrival. No reservation overtakes the next
    one in the queue, even if it would fit: large reservations do not starve. After `MAX_BYPASSES` grants of higher
    priority, the first waiting reservation of a lower priority is next.

    Callers call `admit` first, which fails at once when the queue is full, and fetch their data only then. So a slow
    store holds no slots, and no more is fetched than can be worked on.
    """

    def __init__(self, *, slots: float = math.inf, budget_bytes: int, waiting: float = 0) -> None:
        self.budget_bytes = budget_bytes
        self._slots = slots
        self._max_admitted = slots + waiting
        self._admitted: set[Ticket] = set()
        self._numbers = itertools.count()
        self._waiting: list[Reservation] = []
        self._granted: list[Reservation] = []
        self._bypassed: dict[Priority, int] = {}
        self._recent_use = _RecentUse()
        self._moved = -math.inf
        """When a reservation was granted last, in seconds of the event loop's clock."""

    @property
    def admitted(self) -> int:
        """How many callers are admitted, whether they hold a slot or not."""
        return len(self._admitted)

    @property
    def reserved_bytes(self) -> int:
        """How much of the budget is reserved."""
        return sum(reservation.bytes for reservation in self._granted)

    @contextmanager
    def admit(self, ticket: Ticket) -> Iterator[None]:
        """Admit the caller for the length of the block.

        Callers without a maximum wait, such as jobs that are safe in their queue, are always admitted.

        Raises:
            Busy: the queue is full, or the estimated wait exceeds the caller's maximum.
        """
        if not ticket.is_unbounded:
            self._refuse_hopeless(ticket)
        self._admitted.add(ticket)
        try:
            yield
        finally:
            self._admitted.discard(ticket)

    @asynccontextmanager
    async def reserve(self, ticket: Ticket, size: int) -> AsyncIterator[Reservation]:
        """Hold a slot and `size` bytes of the budget for the length of the block.

        `size` must not exceed the budget: such a reservation would never be granted, and would block the queue.

        Raises:
            Busy: the reservation was not granted within the ticket's maximum waits.
        """
        reservation = Reservation(ticket, next(self._numbers), size, _now())
        try:
            await self._wait_for_grant(reservation)
            yield reservation
        finally:
            self._release(reservation)
            if reservation.held_seconds:  # recorded once per reservation, however often it was resized
                self._recent_use.record(seconds=reservation.held_seconds, size=reservation.bytes)
            self._grant()

    def would_admit(self, size: int) -> bool:
        """Return whether a new reservation of `size` bytes would be granted at once, at any priority."""
        return not self._waiting and self._fits(size)

    async def resize(
        self, reservation: Reservation, size: int, *, before_wait: Callable[[], None] | None = None
    ) -> None:
        """Change a reservation to `size` bytes, waiting if they are not free; `before_wait` is called only then.

        They are granted at once if they are free and no other reservation is before it in the queue. The slot and the
        bytes it holds are released first, so that two reservations that grow never wait for each other. It keeps its
        arrival order, and the bypass count with which it was granted.

        Raises:
            Busy: the new size was not granted in time.
        """
        self._release(reservation)
        reservation.bytes = size
        priority = reservation.ticket.priority
        self._bypassed[priority] = max(reservation.bypassed, self._bypassed.get(priority, 0))
        await self._wait_for_grant(reservation, before_wait)

    def shrink(self, reservation: Reservation, size: int) -> None:
        """Give back what a granted reservation holds beyond `size` bytes."""
        reservation.bytes = min(reservation.bytes, size)
        self._grant()

    def estimated_wait_seconds(self, ticket: Ticket) -> float:
        """Estimate the wait of a new reservation from recent hold times and the reservations ahead of it."""
        ahead = sum(other.priority <= ticket.priority for other in self._admitted)
        ahead += sum(reservation.ticket.priority > ticket.priority for reservation in self._granted)
        at_once = min(self._slots, max(1, self.budget_bytes // max(1.0, self._recent_use.bytes)))
        return self._recent_use.seconds * max(0, ahead + 1 - at_once) / at_once

    def _refuse_hopeless(self, ticket: Ticket) -> None:
        if len(self._admitted) >= self._max_admitted:
            raise self._busy(ticket, f"The render queue is full ({self.admitted} requests)")
        seconds = self.estimated_wait_seconds(ticket)
        if ticket.max_total_seconds is not None and seconds > ticket.max_total_seconds:
            raise self._busy(ticket, f"The render queue is too long (about {seconds:.0f} s)")

    def _busy(self, ticket: Ticket, why: str) -> Busy:
        seconds = max(RETRY_AFTER_SECONDS, math.ceil(self.estimated_wait_seconds(ticket)))
        return Busy(f"{why}; try again in {seconds} s.", retry_after_seconds=seconds)

    async def _wait_for_grant(self, reservation: Reservation, before_wait: Callable[[], None] | None = None) -> None:
        reservation.is_granted.clear()
        reservation.ticket.on_priority_change = self._grant
        self._waiting.append(reservation)
        self._grant()
        if before_wait and not reservation.is_granted.is_set():
            before_wait()
        while not reservation.is_granted.is_set():
            try:
                async with asyncio.timeout_at(self._deadline(reservation)):
                    await reservation.is_granted.wait()
            except TimeoutError:
                deadline = self._deadline(reservation)
                if deadline is not None and deadline <= _now():  # otherwise the queue has moved since
                    raise self._busy(reservation.ticket, "The request waited too long in the render queue") from None

    def _deadline(self, reservation: Reservation) -> float | None:
        """Return until when a reservation may wait if no other is granted before; None if there is no limit."""
        ticket = reservation.ticket
        if ticket.max_wait_seconds is None or ticket.max_total_seconds is None:
            return None
        stalled = max(reservation.arrived, self._moved) + ticket.max_wait_seconds
        return min(stalled, reservation.arrived + ticket.max_total_seconds)

    def _release(self, reservation: Reservation) -> None:
        if reservation in self._waiting:
            self._waiting.remove(reservation)
        elif reservation in self._granted:
            self._granted.remove(reservation)
            reservation.held_seconds += _now() - reservation.began

    def _grant(self) -> None:
        """Grant reservations from the head of the queue for as long as the next one fits."""
        while self._waiting and self._fits((first := self._next_up()).bytes):
            self._waiting.remove(first)
            self._granted.append(first)
            if first.held_seconds:  # a resize is no new grant, but it resets the bypass count of its priority
                self._bypassed.pop(first.ticket.priority, None)
            else:
                first.bypassed = self._bypassed.get(first.ticket.priority, 0)
                self._count_bypasses(first.ticket.priority)
            first.began = self._moved = _now()
            first.is_granted.set()

    def _fits(self, size: int) -> bool:
        return len(self._granted) < self._slots and self.reserved_bytes + size <= self.budget_bytes

    def _next_up(self) -> Reservation:
        passed_over = [
            reservation
            for reservation in self._waiting
            if self._bypassed.get(reservation.ticket.priority, 0) >= MAX_BYPASSES
        ]
        return min(passed_over, key=_by_arrival) if passed_over else min(self._waiting, key=_by_priority)

    def _count_bypasses(self, served: Priority) -> None:
        """Count, for every priority that waits, the grants of higher priority since its own last grant."""
        waiting = {reservation.ticket.priority for reservation in self._waiting} - {served}
        self._bypassed = {one: self._bypassed.get(one, 0) + (one > served) for one in waiting}


def _by_arrival(reservation: Reservation) -> int:
    return reservation.number


def _by_priority(reservation: Reservation) -> tuple[Priority, int]:
    return reservation.ticket.priority, reservation.number


def _now() -> float:
    return asyncio.get_running_loop().time()
