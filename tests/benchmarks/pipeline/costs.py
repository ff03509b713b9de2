"""What rendering costs: processor time, time and memory, program by program on the same photographs."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.protocol import Derived, Render
from tests.benchmarks.pipeline import programs
from tests.pipeline.rendering import RenderProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.pipeline.photographs import Photograph
    from tests.benchmarks.pipeline.programs import Program

SOAK_EARLY, SOAK_LATE = 50, 500
"""Renders after which the memory of one process is read."""

_HAND_OVERS = 20
_SMALL_BYTES = 100_000
"""A small image, as people mean it: the first photograph in the corpus of at most so many bytes."""


class Failed(msgspec.Struct):
    """What a program answers that could not make the sizes; others leave it out."""

    failed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the four sizes of a photograph cost a program: the least of its rounds, but the most memory."""

    photo: Photograph
    program: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """The memory that the fork server holds after so many renders of all formats, and how many were refused."""

    early_bytes: int
    late_bytes: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """The time from asking for a small image's four sizes to the answer, and from starting a process to its first."""

    photo: str
    seconds: float
    with_start_seconds: float


def compare(photos: Sequence[Photograph], peers: Sequence[Program], *, rounds: int) -> Iterator[Spent]:
    """Measure every program on every photograph, in turn, each time in a fresh process.

    The first answer warms up and is not counted. The rounds go round: a busy minute of the machine meets all programs.
    """
    for photo in photos:
        timings: dict[str, list[Spent]] = {peer.name: [] for peer in peers}
        for _ in range(rounds):
            for peer in peers:
                timings[peer.name].append(once(photo, peer))
        yield from map(_least, timings.values())


def once(photo: Photograph, program: Program, *, warm: bool = True) -> Spent:
    """Measure a program on a photograph in a fresh process."""
    with tempfile.TemporaryDirectory() as folder, program.start() as child:
        question = program.question(photo.path, Path(folder))
        if warm:
            child.ask(question)
        answer, cost = child.ask(question)
        return Spent(
            photo=photo,
            program=program.name,
            cpu_seconds=cost.cpu_seconds,
            wall_seconds=cost.wall_seconds,
            peak_bytes=child.peak_bytes(),
            failure=msgspec.json.decode(answer, type=Failed).failed,
        )


def soak(paths: Sequence[Path]) -> Soaked:
    """Render photographs of every format over and over through one fork server, and read its memory."""
    refused, early = 0, 0
    with tempfile.TemporaryDirectory() as folder, RenderProcess() as process:
        for done in range(1, SOAK_LATE + 1):
            question = Render(path=str(paths[done % len(paths)]), folder=folder, sizes=programs.SIZES)
            refused += not isinstance(process.ask(question), Derived)
            if done == SOAK_EARLY:
                early = process.held_bytes()
        return Soaked(early_bytes=early, late_bytes=process.held_bytes(), refused=refused)


def hand_over(paths: Sequence[Path]) -> HandOver:
    """Time the way through a fork server and its child of an image so small that the way is all there is."""
    path = next(path for path in paths if path.suffix == ".jpg" and path.stat().st_size <= _SMALL_BYTES)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, RenderProcess() as process:
        question = Render(path=str(path), folder=folder, sizes=programs.SIZES)
        process.ask(question)
        with_start_seconds = time.perf_counter() - began
        seconds = []
        for _ in range(_HAND_OVERS):
            asked = time.perf_counter()
            process.ask(question)
            seconds.append(time.perf_counter() - asked)
        return HandOver(
            photo=path.name,
            seconds=sorted(seconds)[len(seconds) // 2],
            with_start_seconds=with_start_seconds,
        )


def _least(rounds: Sequence[Spent]) -> Spent:
    return Spent(
        photo=rounds[0].photo,
        program=rounds[0].program,
        cpu_seconds=min(timings.cpu_seconds for timings in rounds),
        wall_seconds=min(timings.wall_seconds for timings in rounds),
        peak_bytes=max(timings.peak_bytes for timings in rounds),
        failure=rounds[0].failure,
    )
