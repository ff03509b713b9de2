"""The arithmetic of the benchmark, and what it may overwrite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.pipeline import report
from tests.benchmarks.pipeline.programs import as_sharp_says
from tests.benchmarks.pipeline.quality import Encoded, bytes_for

if TYPE_CHECKING:
    from pathlib import Path

RISING = (Encoded(bytes=1000, score=60.0), Encoded(bytes=4000, score=80.0), Encoded(bytes=8000, score=85.0))


def test_bytes_for_a_score_lie_between_the_two_nearest_on_a_logarithm() -> None:
    assert bytes_for(70.0, RISING) == pytest.approx(2000)
    assert bytes_for(80.0, RISING) == pytest.approx(4000)


def test_a_score_that_the_smallest_passes_takes_its_bytes_at_most() -> None:
    assert bytes_for(59.9, RISING) == 1000


def test_bytes_for_a_score_that_none_reaches_are_not_guessed() -> None:
    assert bytes_for(85.1, RISING) is None


def test_a_bar_on_nothing_is_neither_met_nor_missed() -> None:
    assert report.below("speed", report.median([]), 1.0).is_met is None
    assert report.below("speed", 1.0, 1.0).is_met is True
    assert report.above("score", 89.9, 90.0).is_met is False


def test_what_people_wrote_in_the_document_is_kept(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.write(document, "new")
    assert document.read_text(encoding="utf-8") == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("all by hand\n", encoding="utf-8")
    with pytest.raises(ValueError, match="needs the lines"):
        report.write(document, "new")
    assert document.read_text(encoding="utf-8") == "all by hand\n"


def test_sharp_is_told_every_setting_of_our_encoder() -> None:
    told = as_sharp_says({"Q": 76, "optimize_coding": True, "quant_table": 5})
    assert told == {"quality": 76, "optimiseCoding": True, "quantisationTable": 5}
    assert as_sharp_says({"Q": 76})["optimiseCoding"] is False
