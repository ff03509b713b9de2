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

    def __init__(self, urgency: Priority, *, line_seconds: float | None = None) -> None:
        self.urgency = urgency
        self.line_seconds = line_seconds
        """The longest that it stands in any one line; None for as long as it takes."""
        self.on_rise: Callable[[], None] | None = None

    @property
    def is_patient(self) -> bool:
        """Whether it waits for as long as it takes: it is safe in a queue."""
        return self.line_seconds is None

    def hurry(self, urgency: Priority) -> None:
        """Be at least that urgent from now on, also where it stands in line."""
        if urgency < self.urgency:
            self.urgency = urgency
            if self.on_rise:
                self.on_rise()


@dataclass(eq=False, slots=True)
class Reservation:
    """A slot and `bytes` of the budget, held or still waited for."""

    turn: Ticket
    number: int
    """Its place among those who are as urgent: first come, first served."""
    bytes: int
    until: float | None
    began: float = 0.0
    """Since when it is held, with this size."""
    held_seconds: float = 0.0
    """How long it was held before that, with other sizes."""
    passed: int = 0
    """How often more urgent ones had gone before its class when it came in."""
    is_granted: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _RecentUse:
    """What shares were like of late; before the first, what a photograph's is like."""

    seconds: float = 0.5
    bytes: float = 1.0

    def see(self, *, seconds: float, size: int) -> None:
        self.seconds += (seconds - self.seconds) * _WEIGHT
        self.bytes += (size - self.bytes) * _WEIGHT


class Admission:
    """Lends shares of `slots` and of `budget_bytes`, and lets `waiting` more callers be underway to one.

    The most urgent goes first, of those the first who came; nobody goes past the first in line, however little it
    takes, so one that needs much gets it. After `MAX_BYPASSES` others that came by urgency alone, the first of a less urgent
    class is the first in line.

    A caller takes a place first, which costs it nothing if there is none; what it has to fetch, it fetches then, so
    that slow stores hold no slots and no more is fetched than can be worked on.
    """

    def __init__(self, *, slots: float = math.inf, budget_bytes: int, waiting: float = 0) -> None:
        self.budget_bytes = budget_bytes
        self._slots = slots
        self._places = slots + waiting
        self._underway: set[Ticket] = set()
        self._numbers = itertools.count()
        self._line: list[Reservation] = []
        self._held: list[Reservation] = []
        self._passed: dict[Priority, int] = {}
        self._usual = _RecentUse()

    @property
    def taken(self) -> int:
        """How many callers have a place, at work or underway."""
        return len(self._underway)

    @property
    def reserved_bytes(self) -> int:
        """How much of the budget is held."""
        return sum(share.bytes for share in self._held)

    @contextmanager
    def place(self, turn: Ticket) -> Iterator[None]:
        """Hold a place for the length of the block.

        A patient caller (a job that is safe in its queue) always gets one.

        Raises:
            Busy: all places are taken, or the wait would be longer than the caller stays.
        """
        if not turn.is_patient:
            self._refuse_in_vain(turn)
        self._underway.add(turn)
        try:
            yield
        finally:
            self._underway.discard(turn)

    @asynccontextmanager
    async def share(self, turn: Ticket, size: int) -> AsyncIterator[Reservation]:
        """Hold a slot and `size` bytes of the budget, which it must not exceed, for the length of the block.

        Raises:
            Busy: its turn did not come in time.
        """
        until = None if turn.line_seconds is None else _now() + turn.line_seconds
        share = Reservation(turn, next(self._numbers), size, until)
        try:
            await self._stand(share)
            yield share
        finally:
            self._leave(share)
            if share.held_seconds:  # one visit, however often its size was changed
                self._usual.see(seconds=share.held_seconds, size=share.bytes)
            self._serve()

    def lets_in(self, size: int) -> bool:
        """Tell whether one that comes now, however urgent, would hold a slot and `size` bytes at once."""
        return not self._line and self._fits(size)

    async def resize(self, share: Reservation, size: int) -> None:
        """Hold `size` bytes instead: at once if nobody is before it in the line, else after those.

        What it held it gives back first, so that two who wait for more never wait for each other; but not its class's
        turn, if that is how it came in.

        Raises:
            Busy: its turn did not come in time.
        """
        self._leave(share)
        share.bytes = size
        urgency = share.turn.urgency
        self._passed[urgency] = max(share.passed, self._passed.get(urgency, 0))
        await self._stand(share)

    def seconds_to_wait(self, turn: Ticket) -> float:
        """Guess how long one that comes now will stand in line: as long as those ahead of it were held of late."""
        ahead = sum(other.urgency <= turn.urgency for other in self._underway)
        ahead += sum(share.turn.urgency > turn.urgency for share in self._held)
        at_once = min(self._slots, max(1, self.budget_bytes // max(1.0, self._usual.bytes)))
        return self._usual.seconds * max(0, ahead + 1 - at_once) / at_once

    def _refuse_in_vain(self, turn: Ticket) -> None:
        if len(self._underway) >= self._places:
            raise self._busy(turn, f"As many renders as may are running or waiting ({self.taken})")
        seconds = self.seconds_to_wait(turn)
        if turn.line_seconds is not None and seconds > turn.line_seconds:
            raise self._busy(turn, f"The line for a render is about {seconds:.0f} s long")

    def _busy(self, turn: Ticket, why: str) -> Busy:
        seconds = max(RETRY_AFTER_SECONDS, math.ceil(self.seconds_to_wait(turn)))
        return Busy(f"{why}; try again in a moment.", retry_after_seconds=seconds)

    async def _stand(self, share: Reservation) -> None:
        share.is_granted.clear()
        share.turn.on_rise = self._serve
        self._line.append(share)
        self._serve()
        try:
            async with asyncio.timeout_at(share.until):
                await share.is_granted.wait()
        except TimeoutError:
            raise self._busy(share.turn, "The line is too long") from None

    def _leave(self, share: Reservation) -> None:
        if share in self._line:
            self._line.remove(share)
        elif share in self._held:
            self._held.remove(share)
            share.held_seconds += _now() - share.began

    def _serve(self) -> None:
        """Let in from the head of the line whoever fits."""
        while self._line and self._fits((first := self._first()).bytes):
            self._line.remove(first)
            self._held.append(first)
            if first.held_seconds:  # one that takes more is not another one, but it is its class's turn that it takes
                self._passed.pop(first.turn.urgency, None)
            else:
                first.passed = self._passed.get(first.turn.urgency, 0)
                self._note(first.turn.urgency)
            first.began = _now()
            first.is_granted.set()

    def _fits(self, size: int) -> bool:
        return len(self._held) < self._slots and self.reserved_bytes + size <= self.budget_bytes

    def _first(self) -> Reservation:
        passed_over = [share for share in self._line if self._passed.get(share.turn.urgency, 0) >= MAX_BYPASSES]
        return min(passed_over, key=_age) if passed_over else min(self._line, key=_rank)

    def _note(self, served: Priority) -> None:
        """Count, for every class that waits, how many more urgent ones were served since one of its own was."""
        waiting = {share.turn.urgency for share in self._line} - {served}
        self._passed = {one: self._passed.get(one, 0) + (one > served) for one in waiting}


def _age(share: Reservation) -> int:
    return share.number


def _rank(share: Reservation) -> tuple[Priority, int]:
    return share.turn.urgency, share.number


def _now() -> float:
    return asyncio.get_running_loop().time()
