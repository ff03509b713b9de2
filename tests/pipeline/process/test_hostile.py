"""Whatever a file is, the answer comes in time: a derivative, or what is wrong with the file."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pipeline.protocol import Derived, Refusal, Render
from pipeline.size import Size
from tests.pipeline.rendering import CORPUS, RenderProcess, needs_corpus, photographs, seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.protocol import Answer


DEADLINE_SECONDS = 10
SIZES = (Size(name="small", width=300), Size(name="moving", width=500, animate=True), Size(name="large", width=1200))
MUTATIONS = 6


@pytest.fixture(scope="module")
def started() -> Iterator[list[RenderProcess]]:
    """Every process started so far."""
    processes: list[RenderProcess] = []
    try:
        yield processes
    finally:
        for process in processes:
            process.__exit__()


@pytest.fixture
def process(started: list[RenderProcess]) -> RenderProcess:
    """One process for all of them: it must survive every file. If one ends it, the others shall not be blamed."""
    if not started or started[-1].has_ended():
        started.append(RenderProcess())
    return started[-1]


def answer(process: RenderProcess, path: Path, folder: Path) -> Answer:
    return process.ask(Render(path=str(path), folder=str(folder), sizes=SIZES), seconds=DEADLINE_SECONDS)


@needs_corpus
@pytest.mark.parametrize("path", sorted(CORPUS.glob("hostile/*")), ids=lambda path: path.name)
def test_a_hostile_file_is_rendered_or_refused(process: RenderProcess, tmp_path: Path, path: Path) -> None:
    got = answer(process, path, tmp_path)
    assert isinstance(got, Derived | Refusal)
    if isinstance(got, Derived):
        for derivative in got.derivatives:
            assert seen(derivative.path).size == (derivative.width, derivative.height)
    else:
        assert str(CORPUS) not in got.detail


@needs_corpus
@pytest.mark.parametrize(
    "path", [path for path in photographs() if path.stat().st_size < 400_000], ids=lambda path: path.name
)
def test_a_photograph_with_flipped_bytes_is_rendered_or_refused(
    process: RenderProcess, tmp_path: Path, path: Path
) -> None:
    dice = random.Random(path.name)  # noqa: S311 - the same mutants each time
    for _ in range(MUTATIONS):
        content = bytearray(path.read_bytes())
        for _ in range(dice.choice([1, 8, 64])):
            content[dice.randrange(dice.choice([64, 1024, len(content)])) % len(content)] = dice.randrange(256)
        mutant = tmp_path / "mutant"
        mutant.write_bytes(content)
        assert isinstance(answer(process, mutant, tmp_path), Derived | Refusal)
