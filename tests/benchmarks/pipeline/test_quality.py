"""The quality of pictures, measured on a painted photograph by the programs that the benchmark starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.paint import Photograph as Painted
from loadtest.paint import paint
from tests.benchmarks.pipeline import programs
from tests.benchmarks.pipeline.photographs import Photograph
from tests.benchmarks.pipeline.programs import SIZES
from tests.benchmarks.pipeline.quality import make, score_all

if TYPE_CHECKING:
    from pathlib import Path


def test_our_pictures_are_found_and_scored(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    paint(path, Painted(width=2100, height=1400, noise=8))
    photo = Photograph(path=path, width=2100, height=1400, note="", extra="")

    made = make(photo, programs.ours(), tmp_path / "made")
    scores = score_all(photo, made[-1:], tmp_path / "references")

    assert len(made) == len(SIZES)
    assert scores.keys() == {made[-1]}
    assert 50 < scores[made[-1]] < 100
    assert [reference.name for reference in (tmp_path / "references").iterdir()] == ["photo.jpg.300x200.png"]
