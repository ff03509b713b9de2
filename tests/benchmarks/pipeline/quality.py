"""How good the pictures are: SSIMULACRA2 against the same photograph shrunk in linear light from a full decode."""

from __future__ import annotations

import math
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tests.benchmarks.pipeline import programs
from tests.benchmarks.pipeline.programs import SIZES
from tests.benchmarks.pipeline.stopwatch import Child

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.pipeline.photographs import Photograph
    from tests.benchmarks.pipeline.programs import Program

QUALITIES = (30, 55, 72, 84)
"""Numbers that our JPEGs are encoded with, to find by interpolation how many bytes a score takes."""

JUDGES = 2
"""Processes that score at once."""

REFERENCES = "references"
"""The folder of what the pictures are compared with, beside the peers."""

_JUDGE = Path(__file__).parent / "peers" / "score.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A JPEG's bytes and its score."""

    bytes: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One photograph at one width: each program's pixels before encoding, and JPEGs of sharp's and ours."""

    photo: Photograph
    width: int
    pixels: dict[str, float]
    sharps: Encoded
    ours: tuple[Encoded, ...]

    @property
    def bytes_ratio(self) -> float | None:
        """Our bytes for the score of sharp's default JPEG, over the bytes of that; None where there is no telling."""
        needed = bytes_for(self.sharps.score, self.ours)
        return None if needed is None else needed / self.sharps.bytes


def judge(photos: Sequence[Photograph], tools: Path) -> Iterator[Judged]:
    """Score every photograph at every width: pixels before encoding, and JPEGs, to weigh their bytes.

    A score at 2000 pixels takes 6 seconds: 18 for the pixels of a photograph, 30 for its JPEGs.
    """
    with ThreadPoolExecutor(JUDGES) as judges:
        for results in judges.map(lambda photo: _judged(photo, tools), photos):
            yield from results


def bytes_for(score: float, encoded: Sequence[Encoded]) -> float | None:
    """Interpolate the bytes that a score takes, along the logarithm, between the two nearest.

    A score that even the smallest passes takes its bytes at most; one that none reaches is None.
    """
    rising = sorted(encoded, key=lambda one: one.bytes)
    if score <= rising[0].score:
        return rising[0].bytes
    for low, high in pairwise(rising):
        if low.score <= score <= high.score and low.score < high.score:
            share = (score - low.score) / (high.score - low.score)
            return math.exp((1 - share) * math.log(low.bytes) + share * math.log(high.bytes))
    return None


def make(photo: Photograph, program: Program, folder: Path) -> list[Path]:
    """Return the pictures that a program makes of a photograph in a new folder, the largest first."""
    folder.mkdir()
    with program.start() as child:
        child.ask(program.question(photo.path, folder))
    made = {path.stem: path for path in folder.iterdir()}
    return [made[size.name] for size in SIZES]


def score_all(photo: Photograph, pictures: Sequence[Path], references: Path) -> dict[Path, float]:
    """Score pictures of one photograph in a new process; `references` is a folder that keeps what they need."""
    references.mkdir(parents=True, exist_ok=True)
    question = {"photo": str(photo.path), "folder": str(references), "pictures": [str(path) for path in pictures]}
    environment = {**programs.own_environment(), "OMP_NUM_THREADS": "1"}
    with Child((sys.executable, str(_JUDGE)), environment=environment) as child:
        answer, _ = child.ask(msgspec.json.encode(question))
    return dict(zip(pictures, msgspec.json.decode(answer, type=list[float]), strict=True))


def _judged(photo: Photograph, tools: Path) -> list[Judged]:
    pixels = {
        "ours": programs.ours(lossless=True),
        "sharp": programs.sharp(tools, lossless=True),
        "Pillow": programs.pillow(tools, lossless=True),
    }
    jpegs = [programs.sharp(tools, own_defaults=True), *(programs.ours(quality=quality) for quality in QUALITIES)]
    with tempfile.TemporaryDirectory() as folder:
        made = [make(photo, program, Path(folder) / str(i)) for i, program in enumerate([*pixels.values(), *jpegs])]
        scores = score_all(photo, [picture for pictures in made for picture in pictures], tools / REFERENCES)
        weights = {picture: Encoded(bytes=picture.stat().st_size, score=score) for picture, score in scores.items()}
    judged = []
    for column, size in enumerate(SIZES):
        encoded = [weights[pictures[column]] for pictures in made[len(pixels) :]]
        judged.append(
            Judged(
                photo=photo,
                width=size.width,
                pixels={name: scores[made[i][column]] for i, name in enumerate(pixels)},
                sharps=encoded[0],
                ours=tuple(encoded[1:]),
            )
        )
    return judged
