"""The right to use what is scarce: a slot and bytes of one budget, for those first who are waited for most."""

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
"""How often more urgent ones go before those who wait; then the first of these goes.

So a crowd of page views leaves jobs a ninth of the renders: little enough that the crowd does not notice, and with four
renders a second still a job every two.
"""

RETRY_AFTER_SECONDS = 2
"""The least that a caller is told to stay away; a place comes free with every render, which takes about a second."""

_WEIGHT = 0.2
"""How much the last share counts in what is usual: about the last ten make it up."""


class Priority(IntEnum):
    """Who goes first: somebody looks at an empty frame; somebody waits for a job; nobody waits for the rest."""

    PAGE = 0
    JOB = 1
    BATCH = 2


class Ticket:
    """One flight's standing in every line that it stands in: how urgent it is, which may rise, and how patient."""

    def __init__(self, priority: Priority, *, max_wait_seconds: float | None = None) -> None:
        self.priority = priority
        self.max_wait_seconds = max_wait_seconds
        """The longest that it stands in any one line; None for as long as it takes."""
        self.on_priority_change: Callable[[], None] | None = None

    @property
    def is_unbounded(self) -> bool:
        """Whether it waits for as long as it takes: it is safe in a queue."""
        return self.max_wait_seconds is None

    def raise_priority(self, priority: Priority) -> None:
        """Be at least that urgent from now on, also where it stands in line."""
        if priority < self.priority:
            self.priority = priority
            if self.on_priority_change:
                self.on_priority_change()


@dataclass(eq=False, slots=True)
class Reservation:
    """A slot and `bytes` of the budget, held or still waited for."""

    ticket: Ticket
    number: int
    """Its place among those who are as urgent: first come, first served."""
    bytes: int
    deadline: float | None
    began: float = 0.0
    """Since when it is held, with this size."""
    held_seconds: float = 0.0
    """How long it was held before that, with other sizes."""
    bypassed: int = 0
    """How often more urgent ones had gone before its class when it came in."""
    is_granted: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _RecentUse:
    """What shares were like of late; before the first, what a photograph's is like."""

    seconds: float = 0.5
    bytes: float = 1.0

    def record(self, *, seconds: float, size: int) -> None:
        self.seconds += (seconds - self.seconds) * _WEIGHT
        self.bytes += (size - self.bytes) * _WEIGHT


class Admission:
    """Lends shares of `slots` and of `budget_bytes`, and lets `waiting` more callers be underway to one.

    The most urgent goes first, of those the first who came; nobody goes past the first in line, however little it
    takes, so one that needs much gets it. After `MAX_BYPASSES` others that came by urgency alone, the first of a less
    urgent class is the first in line.

    A caller takes a place first, which costs it nothing if there is none; what it has to fetch, it fetches then, so
    that slow stores hold no slots and no more is fetched than can be worked on.
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

    @property
    def admitted(self) -> int:
        """How many callers have a place, at work or underway."""
        return len(self._admitted)

    @property
    def reserved_bytes(self) -> int:
        """How much of the budget is held."""
        return sum(reservation.bytes for reservation in self._granted)

    @contextmanager
    def admit(self, ticket: Ticket) -> Iterator[None]:
        """Hold a place for the length of the block.

        A patient caller (a job that is safe in its queue) always gets one.

        Raises:
            Busy: all places are taken, or the wait would be longer than the caller stays.
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
        """Hold a slot and `size` bytes of the budget, which it must not exceed, for the length of the block.

        Raises:
            Busy: its turn did not come in time.
        """
        deadline = None if ticket.max_wait_seconds is None else _now() + ticket.max_wait_seconds
        reservation = Reservation(ticket, next(self._numbers), size, deadline)
        try:
            await self._wait_for_grant(reservation)
            yield reservation
        finally:
            self._release(reservation)
            if reservation.held_seconds:  # one visit, however often its size was changed
                self._recent_use.record(seconds=reservation.held_seconds, size=reservation.bytes)
            self._grant()

    def would_admit(self, size: int) -> bool:
        """Tell whether one that comes now, however urgent, would hold a slot and `size` bytes at once."""
        return not self._waiting and self._fits(size)

    async def resize(self, reservation: Reservation, size: int) -> None:
        """Hold `size` bytes instead: at once if nobody is before it in the line, else after those.

        What it held it gives back first, so that two who wait for more never wait for each other; but not its class's
        turn, if that is how it came in.

        Raises:
            Busy: its turn did not come in time.
        """
        self._release(reservation)
        reservation.bytes = size
        priority = reservation.ticket.priority
        self._bypassed[priority] = max(reservation.bypassed, self._bypassed.get(priority, 0))
        await self._wait_for_grant(reservation)

    def estimated_wait_seconds(self, ticket: Ticket) -> float:
        """Guess how long one that comes now will stand in line: as long as those ahead of it were held of late."""
        ahead = sum(other.priority <= ticket.priority for other in self._admitted)
        ahead += sum(reservation.ticket.priority > ticket.priority for reservation in self._granted)
        at_once = min(self._slots, max(1, self.budget_bytes // max(1.0, self._recent_use.bytes)))
        return self._recent_use.seconds * max(0, ahead + 1 - at_once) / at_once

    def _refuse_hopeless(self, ticket: Ticket) -> None:
        if len(self._admitted) >= self._max_admitted:
            raise self._busy(ticket, f"As many renders as may are running or waiting ({self.admitted})")
        seconds = self.estimated_wait_seconds(ticket)
        if ticket.max_wait_seconds is not None and seconds > ticket.max_wait_seconds:
            raise self._busy(ticket, f"The line for a render is about {seconds:.0f} s long")

    def _busy(self, ticket: Ticket, why: str) -> Busy:
        seconds = max(RETRY_AFTER_SECONDS, math.ceil(self.estimated_wait_seconds(ticket)))
        return Busy(f"{why}; try again in a moment.", retry_after_seconds=seconds)

    async def _wait_for_grant(self, reservation: Reservation) -> None:
        reservation.is_granted.clear()
        reservation.ticket.on_priority_change = self._grant
        self._waiting.append(reservation)
        self._grant()
        try:
            async with asyncio.timeout_at(reservation.deadline):
                await reservation.is_granted.wait()
        except TimeoutError:
            raise self._busy(reservation.ticket, "The line is too long") from None

    def _release(self, reservation: Reservation) -> None:
        if reservation in self._waiting:
            self._waiting.remove(reservation)
        elif reservation in self._granted:
            self._granted.remove(reservation)
            reservation.held_seconds += _now() - reservation.began

    def _grant(self) -> None:
        """Let in from the head of the line whoever fits."""
        while self._waiting and self._fits((first := self._next_up()).bytes):
            self._waiting.remove(first)
            self._granted.append(first)
            if first.held_seconds:  # one that takes more is not another one, but it is its class's turn that it takes
                self._bypassed.pop(first.ticket.priority, None)
            else:
                first.bypassed = self._bypassed.get(first.ticket.priority, 0)
                self._count_bypasses(first.ticket.priority)
            first.began = _now()
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
        """Count, for every class that waits, how many more urgent ones were served since one of its own was."""
        waiting = {reservation.ticket.priority for reservation in self._waiting} - {served}
        self._bypassed = {one: self._bypassed.get(one, 0) + (one > served) for one in waiting}


def _by_arrival(reservation: Reservation) -> int:
    return reservation.number


def _by_priority(reservation: Reservation) -> tuple[Priority, int]:
    return reservation.ticket.priority, reservation.number


def _now() -> float:
    return asyncio.get_running_loop().time()
