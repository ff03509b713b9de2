"""How far a walk has come is known whatever the order in which its originals end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from proxy.bulk.marks import LowWaterMark

if TYPE_CHECKING:
    from random import Random


def test_all_up_to_the_first_that_is_underway_is_over() -> None:
    low_water_mark = LowWaterMark()
    assert [low_water_mark.begin(key) for key in "abc"] == [True, True, True]
    low_water_mark.end("b")
    assert (low_water_mark.after, low_water_mark.done, len(low_water_mark)) == ("", ("b",), 3)
    low_water_mark.end("a")
    assert (low_water_mark.after, low_water_mark.done, len(low_water_mark)) == ("b", (), 1)


def test_one_that_is_underway_is_not_begun_again() -> None:
    low_water_mark = LowWaterMark()
    assert low_water_mark.begin("a")
    assert not low_water_mark.begin("a")


@given(
    names=st.lists(st.integers(0, 10_000), unique=True, max_size=40).map(
        lambda found: [f"{one:05}" for one in sorted(found)]
    ),
    kills=st.lists(st.integers(0, 20), max_size=4),
    chance=st.randoms(use_true_random=False),
)
def test_whatever_is_killed_when_every_original_ends_once(names: list[str], kills: list[int], chance: Random) -> None:
    ended: list[str] = []
    after: str = ""
    done: tuple[str, ...] = ()
    for kill in [*kills, 1000]:
        low_water_mark = LowWaterMark(after, done)
        underway: list[str] = []
        for key in [name for name in names if name > after]:
            if len(ended) > kill + len(done):
                break
            if low_water_mark.begin(key):
                underway.append(key)
            while len(underway) > 3:
                one = underway.pop(chance.randrange(len(underway)))
                low_water_mark.end(one)
                ended.append(one)
        if kill == 1000:
            for one in underway:
                low_water_mark.end(one)
                ended.append(one)
        after, done = low_water_mark.after, low_water_mark.done
    assert sorted(ended) == names
    assert not done
