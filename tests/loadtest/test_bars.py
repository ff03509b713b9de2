"""Bars are code: what is above one ends the run with 1."""

from __future__ import annotations

import itertools
from collections import Counter

import click
import pytest

from loadtest import bars
from loadtest.bars import JOB, JOBS, KNOWN, KNOWN_VIEWS, OF_MACHINE, OF_SCENARIO, Results, Series
from loadtest.popularity import ROUND, views, weights
from loadtest.scenarios import PEOPLE, needs, planned


def test_every_scenario_has_its_bars_and_each_says_where_it_is_from() -> None:
    assert OF_SCENARIO.keys() == PEOPLE.keys()
    for bar in itertools.chain(OF_MACHINE, *OF_SCENARIO.values()):
        assert len(bar.source) > 10


@pytest.mark.parametrize(("done", "failed", "is_met"), [(30, 0, True), (29, 0, False), (30, 1, False)])
def test_a_job_that_is_not_done_misses_its_bar(
    capsys: pytest.CaptureFixture[str], done: int, failed: int, *, is_met: bool
) -> None:
    results = Results(series={JOB: Series(count=done, failures=failed, p99_milliseconds=0)}, jobs=30)
    assert bars.all_met([JOBS], results) is is_met
    assert ("MISSED" in capsys.readouterr().out) is not is_met


def test_a_bar_of_time_is_missed_above_it() -> None:
    for milliseconds, is_met in ((50, True), (50.1, False)):
        results = Results(series={KNOWN: Series(count=1, failures=0, p99_milliseconds=milliseconds)})
        assert bars.all_met([KNOWN_VIEWS], results) is is_met


def test_nothing_measured_is_no_success() -> None:
    assert not bars.all_met(OF_SCENARIO["mixed"], Results(series={}, jobs=30, views=3000))


def test_few_pages_are_looked_at_often_and_one_view_in_twenty_is_a_first_one() -> None:
    pages = [str(number) for number in range(10)]
    seen = Counter(itertools.islice(views(pages, seed=1), 1000 * ROUND))
    assert seen[None] == 1000
    shares = {page: seen[page] / (19 * 1000) for page in pages}
    assert shares == pytest.approx(dict(zip(pages, weights(10), strict=True)), abs=0.02)
    assert weights(10)[0] / weights(10)[9] == pytest.approx(10)


def test_no_original_is_for_two_things_and_few_originals_make_few_people() -> None:
    need = needs([*PEOPLE])
    whole = need.shared_out([str(number) for number in range(need.together)])
    together = (*whole.ordered, *whole.known, *whole.first)
    assert len({*together}) == len(together) == need.together
    assert planned("mixed", whole, jobs=0, views=0).people == {"Sender": 30, "Viewer": 50}
    few = need.shared_out([str(number) for number in range(15)])
    plan = planned("mixed", few, jobs=7, views=9)
    assert (plan.jobs, plan.views) == (7, 9)
    assert all(0 < plan.people[who] < 30 for who in plan.people)
    with pytest.raises(click.ClickException, match="too few"):
        need.shared_out(["one"])
