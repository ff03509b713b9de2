"""Any file gets a response in time: a derivative, or the reason why it is refused."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import BY_CODE
from pipeline.protocol import Derived, Refusal, Render
from pipeline.size import Size
from proxy.rendering.refusals import refused
from tests.pipeline import fuzz
from tests.pipeline.rendering import CORPUS, RenderProcess, needs_corpus, photographs, seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.protocol import Compared, Fault


DEADLINE_SECONDS = 10
SIZES = (Size(name="small", width=300), Size(name="moving", width=500, animate=True), Size(name="large", width=1200))
MUTATIONS = 6
FUZZED = 300

LIBRARY_WORDS = ("libvips", "vips2", "2vips", "libpng", "libheif", "vipsjpeg", "gifload", "jpeg data", "marker 0x")
"""Names of libraries and functions, and their own words, which no caller gets."""


@pytest.fixture(scope="module")
def process() -> Iterator[RenderProcess]:
    """Yield one fork server for all tests; a file that ends its child fails only its own test."""
    with RenderProcess() as server:
        yield server


def answer(process: RenderProcess, path: Path, folder: Path) -> Derived | Compared | Refusal | Fault:
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
        assert str(refused(got)) == got.detail
        assert str(CORPUS) not in got.detail
        assert not [word for word in LIBRARY_WORDS if word in got.detail.lower()]


@needs_corpus
@pytest.mark.parametrize(
    "path", [path for path in photographs() if path.stat().st_size < 400_000], ids=lambda path: path.name
)
def test_a_photograph_with_flipped_bytes_is_rendered_or_refused(
    process: RenderProcess, tmp_path: Path, path: Path
) -> None:
    dice = random.Random(path.name)  # noqa: S311 - reproducible mutants, not cryptography
    for _ in range(MUTATIONS):
        content = bytearray(path.read_bytes())
        for _ in range(dice.choice([1, 8, 64])):
            content[dice.randrange(dice.choice([64, 1024, len(content)])) % len(content)] = dice.randrange(256)
        mutant = tmp_path / "mutant"
        mutant.write_bytes(content)
        assert isinstance(answer(process, mutant, tmp_path), Derived | Refusal)


def test_mutated_files_of_every_format_against_every_recipe_are_rendered_or_refused(tmp_path: Path) -> None:
    """A bounded number; `python -m tests.pipeline.fuzz` runs 20,000."""
    endings = dict.fromkeys(ending.how for ending in fuzz.run(range(FUZZED), seed=0, kept=tmp_path))
    assert "derived" in endings
    assert set(endings) - {"derived"} <= set(BY_CODE)
