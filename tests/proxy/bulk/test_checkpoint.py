"""Checkpoints: the low-water mark in any order of completion, and the format of earlier versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from proxy.bulk.checkpoint import Checkpoint, LowWaterMark, RunOptions, RunTally

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


STORED = (
    b'{"run":"0123456789ab","words":{"store":"file:///srv/images","endpoint":"","origin":"","layout":"site","shadow":""'
    b',"prefix":"gall/","sizes":["small","large"],"remake":"stale","since":"2026-11-24T00:00:00Z","retry_failed":"",'
    b'"through_queue":false,"profiles":["1","2"]},"failures":"failures-20261128T120000Z-0123456789ab.jsonl",'
    b'"after":"gall/1_original.jpg","done":["gall/3_original.jpg"],"tally":{"made":2,"fresh":1,"due":0,"failed":1,'
    b'"faults":{"corrupt":1}},"seconds":12.5}'
)
"""A checkpoint written by the first version that had checkpoints."""


def test_a_checkpoint_of_an_earlier_version_is_read_and_written_the_same() -> None:
    checkpoint = msgspec.json.decode(STORED, type=Checkpoint)
    assert checkpoint == Checkpoint(
        run="0123456789ab",
        options=RunOptions(
            store="file:///srv/images",
            layout="site",
            prefix="gall/",
            sizes=("small", "large"),
            remake="stale",
            since=datetime(2026, 11, 24, tzinfo=UTC),
            retry_failed="",
            through_queue=False,
            profiles=("1", "2"),
        ),
        failures="failures-20261128T120000Z-0123456789ab.jsonl",
        after="gall/1_original.jpg",
        done=("gall/3_original.jpg",),
        tally=RunTally(changed=2, fresh=1, failed=1, faults={"corrupt": 1}),
        seconds=12.5,
    )
    assert msgspec.json.encode(checkpoint) == STORED


def test_options_that_differ_have_the_names_that_an_operator_knows() -> None:
    since = datetime(2026, 11, 24, tzinfo=UTC)
    one, other = (
        RunOptions(
            store=text,
            endpoint=text,
            origin=text,
            layout=text,
            shadow=text,
            prefix=text,
            sizes=(text,),
            remake="all" if text else "stale",
            since=since if text else None,
            retry_failed=text,
            through_queue=bool(text),
            profiles=(text,),
            where=(text,),
        )
        for text in ("", "other")
    )
    assert one.differences(one) == []
    differences = one.differences(other)
    assert len(differences) == len(RunOptions.__struct_fields__)
    assert not {*differences} & {*RunOptions.__struct_fields__}
