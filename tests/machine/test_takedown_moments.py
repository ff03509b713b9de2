"""A takedown that is requested at each moment of a picture's life, while the process of that moment is stopped or dead.

One of two machines is stopped or killed at a failpoint, the picture is taken down at the other, and the first goes on
or starts again. Nothing of the picture may be left: no version, no marker of a deletion, no copy of the CDN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import pytest

from tests.machine.pair import ENDED_SECONDS, Cause, Pair, running_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.system.failpoints import Point
    from tests.machine.nodes import Action
    from tests.machine.queues import QueueKind

pytestmark = pytest.mark.timeout(600)

End = Literal["goes on at once", "goes on later", "starts again"]
"""What becomes of the machine that is stopped or killed; "later" is after the takedown has ended."""

ACTIONS: Final[dict[End, Action]] = {"goes on at once": "stop", "goes on later": "stop", "starts again": "kill"}


class Moment(NamedTuple):
    """What makes a machine work on a picture, and the failpoint at which it is then interrupted."""

    cause: Cause
    point: Point


MOMENTS: Final = (
    Moment("post", "job-enqueued"),
    Moment("post", "job-started"),
    Moment("post", "original-rendered"),
    Moment("post", "derivative-due"),
    Moment("post", "derivative-put"),
    Moment("post", "derivatives-made"),
    Moment("post", "job-ended"),
    Moment("view", "original-rendered"),
    Moment("view", "derivative-due"),
    Moment("view", "derivative-put"),
    Moment("upload", "upload-stored"),
    Moment("event", "job-enqueued"),
)

TAKEDOWN_POINTS: Final[tuple[Point, ...]] = (
    "tombstone-stored",
    "job-enqueued",
    "takedown-removed",
    "takedown-purged",
    "job-ended",
)


QUEUES: Final[dict[QueueKind, tuple[pytest.MarkDecorator, ...]]] = {
    "sqlite": (),
    "redis": (pytest.mark.needs("redis-server", "redis-server"),),
    "postgres": (pytest.mark.needs("postgres", "postgresql"),),
}


def end_of(pair: Pair, number: int) -> End:
    """Return the end of a case: another on each queue, together all ends of all cases."""
    ends = [*ACTIONS]
    return ends[([*QUEUES].index(pair.queue) + number) % len(ends)]


# The queue is a parameter of its own: pytest ends a fixture after each test whose other parameters come in one mark
# with the fixture's.
@pytest.fixture(scope="module", params=[pytest.param(queue, marks=marks) for queue, marks in QUEUES.items()])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_pair(request.param, tmp_path_factory.mktemp(request.param)) as one:
        yield one


@pytest.mark.parametrize("moment", MOMENTS, ids=" at ".join)
def test_nothing_is_left_of_a_picture_that_is_taken_down_at_any_moment(pair: Pair, moment: Moment) -> None:
    end = end_of(pair, MOMENTS.index(moment))
    key, action = pair.new_key(), ACTIONS[end]
    pair.interrupt(moment.point, key, action)
    begun = pair.begin(moment.cause, key, pair.nodes[0])
    first = pair.interrupted(action)
    pair.visit(key)
    takedown = pair.take_down(key, pair.other(first), stopped=first)
    if end == "goes on later":
        assert pair.ended(takedown, pair.other(first))["status"] == "done"
    pair.resume(first)
    assert begun.exception(ENDED_SECONDS) is None or end == "starts again"
    assert pair.ended(takedown, first)["status"] == "done"
    pair.check_gone(key)


@pytest.mark.parametrize("cause", ["post", "view"])
@pytest.mark.parametrize("pair", [pytest.param("redis", marks=QUEUES["redis"])], indirect=True)
def test_what_the_cdn_copied_of_a_late_write_does_not_stay_either(pair: Pair, cause: Cause) -> None:
    key = pair.new_key()
    pair.interrupt("derivative-due", key, "stop")
    begun = pair.begin(cause, key, pair.nodes[0])
    first = pair.interrupted("stop")
    assert pair.ended(pair.take_down(key, pair.other(first), stopped=first), pair.other(first))["status"] == "done"
    first.order("derivative-put", "stop", key)
    first.thaw()
    assert pair.interrupted("stop") is first
    pair.visit(key)
    assert pair.left(key)
    pair.resume(first)
    begun.result(ENDED_SECONDS)
    pair.check_gone(key)


@pytest.mark.parametrize("point", TAKEDOWN_POINTS)
def test_a_takedown_that_is_interrupted_at_any_step_is_finished_and_lists_each_removal_once(
    pair: Pair, point: Point
) -> None:
    end = end_of(pair, TAKEDOWN_POINTS.index(point))
    key, action = pair.new_key(), ACTIONS[end]
    posted = pair.begin("post", key, pair.nodes[0]).result(ENDED_SECONDS).raise_for_status().json()
    assert pair.ended(posted["id"], pair.nodes[0])["status"] == "done"
    pair.visit(key)
    pair.interrupt(point, key, action)
    begun = pair.threads.submit(pair.take_down, key, pair.nodes[0])
    first = pair.interrupted(action)
    pair.visit(key)
    jobs = []
    if end == "goes on later":
        jobs += [pair.ended(pair.take_down(key, pair.other(first), stopped=first), pair.other(first))]
    pair.resume(first)
    jobs += [pair.ended(begun.result(ENDED_SECONDS), first)]
    assert {job["status"] for job in jobs} == {"done"}
    receipts = {job["id"]: len(job["takedown"]["removed"]) for job in jobs}
    assert sum(receipts.values()) == 4  # of two requests, one finds nothing that is left
    pair.check_gone(key)


@pytest.mark.parametrize("action", ["stop", "kill"])
@pytest.mark.parametrize("pair", [pytest.param("postgres", marks=QUEUES["postgres"])], indirect=True)
def test_a_takedown_during_a_takeover_leaves_nothing(pair: Pair, action: Action) -> None:
    """The machine that renders is killed; the other takes its job over, and is interrupted before it goes on."""
    key = pair.new_key()
    pair.interrupt("original-rendered", key, "kill")
    begun = pair.begin("post", key, pair.nodes[0])
    dead = pair.interrupted("kill")
    other = pair.other(dead)
    other.order("jobs-taken-over", action)
    pair.interrupted(action, among=[other])
    pair.resume(dead)
    takedown = pair.take_down(key, dead)
    pair.resume(other)
    begun.exception(ENDED_SECONDS)
    assert pair.ended(takedown, dead)["status"] == "done"
    pair.check_gone(key)
