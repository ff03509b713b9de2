"""The compare process, queried over its pipes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from pipeline.process.sandbox import ADDRESS_BYTES
from pipeline.protocol import Compare, Compared, Refusal
from tests.pipeline.rendering import CORPUS, RenderProcess, needs_corpus

if TYPE_CHECKING:
    from pathlib import Path

PEAK_BYTES = 500_000_000
"""The limit on memory for comparing two images of 2000 x 1500 pixels.

330 MB were measured, 60 of them numpy and scipy.
"""


def hostile() -> list[Path]:
    """List every tenth hostile file of the corpus."""
    files = sorted(path for path in CORPUS.glob("hostile/*") if path.suffix != ".tsv")
    return [*itertools.islice(files, 0, None, 10)]


def test_it_is_confined_and_compares_two_derivatives_in_bounded_memory(tmp_path: Path) -> None:
    paint(tmp_path / "old.jpg", Photograph(width=2000, height=1500, noise=20), Q=95)
    paint(tmp_path / "new.jpg", Photograph(width=2000, height=1500, noise=20), Q=70)
    question = Compare(folder=str(tmp_path), old=str(tmp_path / "old.jpg"), new=str(tmp_path / "new.jpg"))
    with RenderProcess(module="pipeline.process.compare_server") as process:
        compared = process.ask(question)
        assert isinstance(compared, Compared)
        assert compared.likeness
        assert compared.likeness.score
        assert process.peak_bytes() < PEAK_BYTES
        assert process.limit("Max address space") == str(ADDRESS_BYTES)


@needs_corpus
@pytest.mark.timeout(600)
def test_hostile_files_are_answered_or_end_the_process_and_nothing_else(tmp_path: Path) -> None:
    good = tmp_path / "good.jpg"
    paint(good, Photograph(width=400, height=300))
    answered = 0
    with RenderProcess(module="pipeline.process.compare_server") as process:
        for path in hostile():
            try:
                compared = process.ask(Compare(folder=str(tmp_path), old=str(path), new=str(good)))
            except (EOFError, TimeoutError):
                continue
            assert isinstance(compared, Compared)
            assert not isinstance(compared.new, Refusal)
            answered += 1
    assert answered == len(hostile())
