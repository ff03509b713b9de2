"""The benchmark of reprocessing tells what it measured, and finds what it says it would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.reprocess.__main__ import DERIVATIVES, Bench, are_alike, markdown
from tests.benchmarks.reprocess.mixture import Painted, fill, keys
from tests.benchmarks.reprocess.runs import Ran

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.reprocess.runs import Site


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    pictures = [Painted(path=tmp_path / f"{number}.jpg", megapixels=1) for number in range(2)]
    for picture in pictures:
        picture.path.write_bytes(picture.path.name.encode())
    return Bench(originals=5, bucket_originals=0, pictures=pictures, folder=tmp_path, limit_bytes=1 << 29, workers=2)


def reprocessed(bench: Bench, name: str, *, originals: int) -> Site:
    """Give a site whose derivatives are made, each of bytes that its picture and its size decide."""
    site = bench.site(name)
    store = site.folder / "store"
    fill(store, bench.pictures, originals)
    for key, picture in keys(bench.pictures, originals):
        for size in DERIVATIVES:
            (store / key.replace("original", size)).write_text(f"{picture.path.name} {size}")
    return site


def test_sites_with_the_same_derivatives_are_alike(bench: Bench) -> None:
    whole, broken = reprocessed(bench, "whole", originals=2), reprocessed(bench, "broken", originals=5)
    assert are_alike(whole, broken, bench)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gall/4/4_small.jpg", "half"),
        ("gall/4/4_small.jpg", None),
        ("gall/4/4_small.png", "another format"),
        ("gall/4/4_tiny.jpg", "another size"),
        ("gall/4/left-over.new", "left over"),
    ],
    ids=["other bytes", "a derivative missing", "one in another format", "one of another size", "a file left over"],
)
def test_sites_are_not_alike_with(bench: Bench, name: str, body: str | None) -> None:
    whole, broken = reprocessed(bench, "whole", originals=2), reprocessed(bench, "broken", originals=5)
    path = broken.folder / "store" / name
    path.unlink(missing_ok=True)
    if body is not None:
        path.write_text(body)
    assert not are_alike(whole, broken, bench)


@pytest.mark.parametrize(("starts", "told"), [(1, "| 200 |"), (6, "|  |")])
def test_processor_time_is_told_only_of_runs_whose_processes_are_all_known(
    bench: Bench, starts: int, told: str
) -> None:
    ran = Ran(
        seconds=10,
        cpu_seconds=1,
        made=5,
        fresh=0,
        failed=0,
        twice=0,
        starts=starts,
        peak_bytes=1,
        oom_kills=0,
        how="",
    )
    assert told in markdown([("a run", ran, True)], bench)
