"""Each planted difference is found with its cause, and nothing else is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.proxy.bulk.compare.planted import PLANTS, Copy, Plant, fill, key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy.bulk.compare.conftest import Compare, Comparison


@pytest.mark.parametrize(("number", "name"), [*enumerate(PLANTS, start=1)])
def test_a_planted_difference_is_found_and_called_what_it_is(found: Comparison, number: int, name: str) -> None:
    (one,) = [event for event in found.events("differs") if event["key"] == key(number)]
    assert one["size"] == "medium"
    assert isinstance(one["causes"], dict)
    assert set(one["causes"]) == PLANTS[name].causes


def test_what_differs_more_than_it_may_ends_the_command_with_1(found: Comparison) -> None:
    assert found.result.exit_code == 1
    (ended,) = found.events("ended")
    assert (ended["originals"], ended["alike"], ended["different"]) == (12, 12, 12)
    assert (ended["is_finished"], ended["is_within_budget"]) == (True, False)


def test_identical_trees_have_no_difference(planted: Path, compare: Compare) -> None:
    same = compare(planted / "old", planted / "old", "--json")
    assert same.result.exit_code == 0, same.result.output
    assert same.events("differs") == []
    (ended,) = same.events("ended")
    assert (ended["originals"], ended["alike"], ended["different"]) == (12, 24, 0)
    assert "No findings." in same.page


def test_what_is_allowed_is_told_but_does_not_count(planted: Path, compare: Compare) -> None:
    words = "--prefix", "gall/8/"
    assert compare(planted / "old", planted / "new", *words).result.exit_code == 1
    assert compare(planted / "old", planted / "new", *words, "--max-different", "1").result.exit_code == 0
    assert compare(planted / "old", planted / "new", *words, "--max-different", "49%").result.exit_code == 1
    allowed = compare(planted / "old", planted / "new", *words, "--allow", "old-blurred")
    assert allowed.result.exit_code == 0
    assert "1 different" in allowed.result.stdout
    assert "Allowed by --allow: 1 of 1 different derivatives" in allowed.result.stdout
    assert "No more differences than allowed." in allowed.page


@pytest.mark.parametrize("is_smaller", [False, True])
def test_another_picture_is_called_that_although_its_colours_or_dimensions_differ_too(
    compare: Compare, tmp_path: Path, *, is_smaller: bool
) -> None:
    def change(copy: Copy) -> Copy:
        another = copy.picture.wrap(x=copy.picture.width // 3, y=0)
        return Copy(picture=another.resize(0.75) if is_smaller else another, quality=copy.quality)

    plants = {1: Plant(side="new", causes=frozenset({"another-picture"}), change=change)}
    for side in ("old", "new"):
        asyncio.run(fill(tmp_path / side, side, plants))
    allowed = [word for cause in ("looks-different", "colour", "dimensions") for word in ("--allow", cause)]
    told = compare("old", "new", "--json", *allowed)
    (one,) = told.events("differs")
    assert isinstance(one["causes"], dict)
    assert next(iter(one["causes"])) == "another-picture"
    assert "colour" in one["causes"]
    assert ("dimensions" in one["causes"]) is is_smaller
    assert told.result.exit_code == 1
