"""Admission control: limits, priorities, fairness and refusals."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.concurrency.admission import MAX_BYPASSES, Admission, Priority, Ticket
from proxy.errors import Busy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

BUDGET = 100
BRIEFLY = 0.01

urgencies = st.sampled_from(Priority)
sizes = st.integers(1, BUDGET)


async def settle() -> None:
    """Run the event loop until no task can proceed."""
    for _ in range(30):
        await asyncio.sleep(0)


@dataclass(eq=False)
class Visit:
    """A task that reserves, resizes and releases on command; every grant is appended to `came_in`."""

    admission: Admission
    came_in: list[Visit]
    size: int
    priority: Priority = Priority.JOB
    held: int = 0
    said: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    """The next size to reserve; 0 releases."""
    ticket: Ticket = field(init=False)
    task: asyncio.Task[None] = field(init=False)

    def __post_init__(self) -> None:
        self.ticket = Ticket(self.priority)
        self.task = asyncio.create_task(self._visit())

    @property
    def is_waiting(self) -> bool:
        return not self.held and not self.task.done()

    async def _visit(self) -> None:
        try:
            async with self.admission.reserve(self.ticket, self.size) as reservation:
                self._record_grant(self.size)
                while size := await self.said.get():
                    self.held = 0
                    await self.admission.resize(reservation, size)
                    self._record_grant(size)
        finally:
            self.held = 0

    def _record_grant(self, size: int) -> None:
        self.held = size
        self.came_in.append(self)


async def see_out(visits: list[Visit]) -> None:
    """Release every reservation, and assert that the whole budget is free afterwards."""
    admission = visits[0].admission
    for visit in visits:
        visit.said.put_nowait(0)
    async with asyncio.timeout(10):
        await asyncio.gather(*(visit.task for visit in visits), return_exceptions=True)
        async with admission.reserve(Ticket(Priority.BATCH), BUDGET):
            assert admission.reserved_bytes == BUDGET
    assert admission.reserved_bytes == 0


commands = st.one_of(
    st.tuples(st.just("come"), urgencies, sizes),
    st.tuples(st.just("leave"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("resize"), st.integers(0, 20), sizes),
    st.tuples(st.just("cancel"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("hurry"), st.integers(0, 20), urgencies),
)


def obey(command: tuple[str, int, int], visits: list[Visit], admission: Admission, came_in: list[Visit]) -> None:
    word, first, second = command
    if word == "come":
        visits.append(Visit(admission, came_in, size=second, priority=Priority(first)))
    elif visits:
        visit = visits[first % len(visits)]
        if word == "cancel":
            visit.task.cancel()
        elif word == "hurry":
            visit.ticket.raise_priority(Priority(second))
        elif visit.held:
            visit.said.put_nowait(second)


@given(slots=st.integers(1, 4), script=st.lists(commands, max_size=40))
async def test_never_over_slots_or_budget_and_in_each_class_first_come_first_served(
    slots: int, script: list[tuple[str, int, int]]
) -> None:
    admission = Admission(slots=slots, budget_bytes=BUDGET)
    visits: list[Visit] = []
    came_in: list[Visit] = []
    for command in script:
        obey(command, visits, admission, came_in)
        await settle()
        held = [visit.held for visit in visits if visit.held]
        waiting = [visit for visit in visits if visit.is_waiting]
        assert len(held) <= slots
        assert sum(held) == admission.reserved_bytes <= BUDGET
        assert held or not waiting, "somebody waits although everything is free"
        for visit in came_in:
            earlier = visits[: visits.index(visit)]
            assert not any(one.is_waiting and one.ticket.priority == visit.ticket.priority for one in earlier)
        came_in.clear()
    if visits:
        await see_out(visits)


@given(script=st.lists(st.tuples(commands, st.integers(0, 4)), min_size=1, max_size=40), slots=st.integers(1, 4))
async def test_whatever_is_cancelled_at_whatever_moment_nothing_is_lost_or_lent_twice(
    script: list[tuple[tuple[str, int, int], int]], slots: int
) -> None:
    admission = Admission(slots=slots, budget_bytes=BUDGET)
    visits = [Visit(admission, [], size=1)]
    for command, steps in script:
        obey(command, visits, admission, [])
        for _ in range(steps):
            await asyncio.sleep(0)
            held = [visit.held for visit in visits if visit.held]
            assert len(held) <= slots
            assert sum(held) <= admission.reserved_bytes <= BUDGET
    await see_out(visits)


@given(others=st.lists(st.tuples(st.sampled_from([Priority.JOB, Priority.BATCH]), sizes), min_size=1, max_size=4))
async def test_a_crowd_of_page_views_keeps_nobody_waiting_for_ever(others: list[tuple[Priority, int]]) -> None:
    admission, came_in = Admission(slots=1, budget_bytes=BUDGET), list[Visit]()
    visits = [Visit(admission, came_in, size=1, priority=Priority.PAGE)]
    patient = [Visit(admission, came_in, size=size, priority=priority) for priority, size in others]
    for _ in range((MAX_BYPASSES + 2) * len(others) + 1):
        visits.append(Visit(admission, came_in, size=1, priority=Priority.PAGE))
        await settle()
        came_in[-1].said.put_nowait(0)
        await settle()
    assert not [visit for visit in patient if visit.is_waiting]
    await see_out([*visits, *patient])


async def test_a_crowd_of_page_views_leaves_jobs_a_ninth_of_the_renders_though_each_takes_more_once_it_is_in() -> None:
    admission, came_in = Admission(slots=1, budget_bytes=BUDGET), list[Visit]()
    crowd, jobs = [Priority.PAGE] * 3 * (MAX_BYPASSES + 1), [Priority.JOB] * 3
    visits = [Visit(admission, came_in, size=1, priority=priority) for priority in (*crowd, *jobs)]
    await settle()
    while any(visit.is_waiting for visit in visits):
        came_in[-1].said.put_nowait(2 if came_in[-1].held == 1 else 0)
        await settle()
    renders = [visit.priority for number, visit in enumerate(came_in) if visit in came_in[:number]]
    assert renders[: 3 * (MAX_BYPASSES + 1)] == ([Priority.PAGE] * MAX_BYPASSES + [Priority.JOB]) * 3
    await see_out(visits)


async def test_page_views_go_before_jobs_and_jobs_before_batches() -> None:
    admission, came_in = Admission(slots=1, budget_bytes=BUDGET), list[Visit]()
    order = [Priority.JOB, Priority.BATCH, Priority.PAGE, Priority.JOB, Priority.PAGE]
    visits = [Visit(admission, came_in, size=1, priority=priority) for priority in order]
    await settle()
    await see_out(visits)
    assert [visits.index(visit) for visit in came_in] == [0, 2, 4, 3, 1]


async def test_one_that_needs_much_is_not_passed_by_those_that_would_fit_beside() -> None:
    admission, came_in = Admission(slots=4, budget_bytes=BUDGET), list[Visit]()
    visits = [Visit(admission, came_in, size=size) for size in (50, 60, 10)]
    await settle()
    assert [visit.is_waiting for visit in visits] == [False, True, True]
    visits[0].said.put_nowait(0)
    await settle()
    assert [visit.is_waiting for visit in visits] == [False, False, False]
    await see_out(visits)


async def test_one_that_takes_the_whole_budget_runs_alone() -> None:
    admission, came_in = Admission(slots=4, budget_bytes=BUDGET), list[Visit]()
    visits = [Visit(admission, came_in, size=size) for size in (1, BUDGET, 1)]
    await settle()
    for alone in ([1, 0, 0], [0, BUDGET, 0], [0, 0, 1]):
        assert [visit.held for visit in visits] == alone
        came_in[-1].said.put_nowait(0)
        await settle()


async def test_more_is_given_at_once_where_it_is_free_and_nobody_was_first() -> None:
    admission, came_in = Admission(slots=2, budget_bytes=BUDGET), list[Visit]()
    visits = [Visit(admission, came_in, size=40), Visit(admission, came_in, size=40)]
    await settle()
    visits[0].said.put_nowait(60)
    await settle()
    assert [visit.held for visit in visits] == [60, 40]
    visits[1].said.put_nowait(60)
    await settle()
    assert [visit.held for visit in visits] == [60, 0], "what is waited for is not held on to"
    await see_out(visits)


async def test_who_is_hurried_goes_ahead_of_its_class_at_once() -> None:
    admission, came_in = Admission(slots=3, budget_bytes=BUDGET), list[Visit]()
    visits = [
        Visit(admission, came_in, size=size, priority=priority)
        for size, priority in ((50, Priority.JOB), (60, Priority.JOB), (10, Priority.BATCH))
    ]
    await settle()
    visits[2].ticket.raise_priority(Priority.PAGE)
    await settle()
    assert [visit.is_waiting for visit in visits] == [False, True, False]
    visits[2].ticket.raise_priority(Priority.BATCH)
    assert visits[2].ticket.priority is Priority.PAGE, "nobody becomes less urgent"
    await see_out(visits)


async def test_a_caller_that_finds_no_place_is_told_when_to_come_back() -> None:
    admission = Admission(slots=1, budget_bytes=BUDGET, waiting=0)
    hurried = Ticket(Priority.PAGE, max_wait_seconds=10)
    with admission.admit(Ticket(Priority.JOB)), pytest.raises(Busy) as refusal, admission.admit(hurried):
        pass
    assert refusal.value.retry_after_seconds > 0
    assert admission.admitted == 0


async def test_a_patient_caller_always_gets_a_place() -> None:
    admission = Admission(slots=1, budget_bytes=BUDGET, waiting=0)
    with admission.admit(Ticket(Priority.PAGE, max_wait_seconds=10)), admission.admit(Ticket(Priority.JOB)):
        assert admission.admitted == 2


async def test_a_caller_that_would_wait_too_long_is_refused_before_it_waits() -> None:
    admission = Admission(slots=1, budget_bytes=BUDGET, waiting=1000)
    with admission.admit(Ticket(Priority.BATCH)), admission.admit(Ticket(Priority.JOB)):
        first = Ticket(Priority.PAGE, max_wait_seconds=BRIEFLY)
        assert admission.estimated_wait_seconds(first) == 0, "who is less urgent is not ahead unless it is at work"
        with admission.admit(first):
            late = Ticket(Priority.PAGE, max_wait_seconds=BRIEFLY)
            assert admission.estimated_wait_seconds(late) > BRIEFLY
            with pytest.raises(Busy, match="queue"), admission.admit(late):
                pass


async def test_the_guess_follows_how_long_and_how_large_shares_were_of_late() -> None:
    admission, came_in = Admission(slots=4, budget_bytes=BUDGET, waiting=1000), list[Visit]()
    asked = Ticket(Priority.PAGE)
    turns = [Ticket(Priority.PAGE) for _ in range(4)]
    with admission.admit(turns[0]), admission.admit(turns[1]), admission.admit(turns[2]), admission.admit(turns[3]):
        before = admission.estimated_wait_seconds(asked)
        for _ in range(30):
            await see_out([Visit(admission, came_in, size=BUDGET)])
        one_at_a_time = admission.estimated_wait_seconds(asked)
        assert 0 < one_at_a_time < before


async def test_one_that_changed_its_size_counts_once_in_the_guess_with_what_it_took_at_last() -> None:
    admission, came_in = Admission(slots=4, budget_bytes=BUDGET, waiting=1000), list[Visit]()
    for _ in range(30):
        visit = Visit(admission, came_in, size=1)
        visit.said.put_nowait(BUDGET // 2)
        visit.said.put_nowait(0)
        await visit.task
    with admission.admit(Ticket(Priority.PAGE)), admission.admit(Ticket(Priority.PAGE)):
        assert admission.estimated_wait_seconds(Ticket(Priority.PAGE)) > 0, "two fit, so a third waits"


async def test_a_caller_whose_turn_does_not_come_in_time_leaves_the_line() -> None:
    admission, came_in = Admission(slots=1, budget_bytes=BUDGET), list[Visit]()
    visits = [Visit(admission, came_in, size=1)]
    await settle()
    with pytest.raises(Busy):
        async with admission.reserve(Ticket(Priority.PAGE, max_wait_seconds=BRIEFLY), 1):
            pass
    visits.append(Visit(admission, came_in, size=1))
    await see_out(visits)
    assert Counter(came_in) == Counter(visits)


async def test_a_slot_that_comes_in_the_moment_of_giving_up_goes_to_the_next() -> None:
    admission, came_in = Admission(slots=1, budget_bytes=BUDGET), list[Visit]()
    visits = [Visit(admission, came_in, size=1) for _ in range(3)]
    await settle()
    visits[0].said.put_nowait(0)
    await visits[0].task
    visits[1].task.cancel()  # it has been granted the slot, but its task has not run since
    await settle()
    assert [visit.held for visit in visits] == [0, 0, 1]
    await see_out(visits)


@pytest.fixture
def advance(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Awaitable[None]]:
    """Return what moves the clock of the event loop ahead by so many seconds."""
    ahead = [0.0]

    async def move(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if not ahead[0]:
            real = loop.time
            monkeypatch.setattr(loop, "time", lambda: real() + ahead[0])
        ahead[0] += seconds
        await settle()

    return move


def patient() -> Ticket:
    return Ticket(Priority.PAGE, max_wait_seconds=10, max_total_seconds=30)


async def hold(admission: Admission, ticket: Ticket, *, until: asyncio.Event) -> None:
    async with admission.reserve(ticket, 1):
        await until.wait()


async def test_a_page_view_waits_longer_while_the_queue_moves(advance: Callable[[float], Awaitable[None]]) -> None:
    admission, ends = Admission(slots=1, budget_bytes=BUDGET), [asyncio.Event() for _ in range(3)]
    tasks = [asyncio.create_task(hold(admission, Ticket(Priority.PAGE), until=end)) for end in ends[:2]]
    await settle()
    tasks.append(asyncio.create_task(hold(admission, patient(), until=ends[2])))
    await advance(9)
    ends[0].set()  # the second is granted
    await advance(9)
    assert not tasks[2].done(), "18 s in all, but the queue moved 9 s ago"
    ends[1].set()
    ends[2].set()
    await asyncio.gather(*tasks)


async def test_a_page_view_is_refused_when_the_queue_has_not_moved(advance: Callable[[float], Awaitable[None]]) -> None:
    admission, ends = Admission(slots=1, budget_bytes=BUDGET), [asyncio.Event() for _ in range(2)]
    tasks = [asyncio.create_task(hold(admission, Ticket(Priority.PAGE), until=end)) for end in ends]
    await settle()
    late = asyncio.create_task(hold(admission, patient(), until=ends[0]))
    await advance(9)
    ends[0].set()
    await advance(11)
    with pytest.raises(Busy, match="too long"):
        await late
    ends[1].set()
    await asyncio.gather(*tasks)


async def test_a_page_view_waits_for_no_longer_than_in_all_however_much_moves(
    advance: Callable[[float], Awaitable[None]],
) -> None:
    admission, ends = Admission(slots=1, budget_bytes=BUDGET), [asyncio.Event() for _ in range(5)]
    tasks = [asyncio.create_task(hold(admission, Ticket(Priority.PAGE), until=end)) for end in ends]
    await settle()
    late = asyncio.create_task(hold(admission, patient(), until=ends[0]))
    for end in ends[:4]:
        await advance(8)
        end.set()
        await settle()
    with pytest.raises(Busy, match="too long"):
        await late
    ends[4].set()
    await asyncio.gather(*tasks)
