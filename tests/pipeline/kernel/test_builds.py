"""The library reads and writes no memory but its own, and computes the same bytes for every processor."""

from __future__ import annotations

import platform
from struct import pack
from typing import TYPE_CHECKING

import pytest

from pipeline.kernel.library import MOST_SIDE
from pipeline.kernel.reduction import WantedPicture, reduce, rungs
from tests.pipeline.kernel import oracle
from tests.pipeline.kernel.driven import QEMU, ZIG, build, drive, job, needs_arm64, needs_qemu
from tests.pipeline.kernel.oracle import Shape
from tests.thorough import in_ci

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SANITIZERS = "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"
NATIVE = {"x86_64": ("scalar", "sse2", "avx2"), "aarch64": ("scalar", "neon")}[platform.machine()]
WIDE = Shape(
    sides=(16_383, 9), bands=3, wanted=(WantedPicture(sides=(2048, 2), source=None),), pixels=bytes(16_383 * 9 * 3)
)


def job_of(*numbers: int, is_converted: bool = False) -> bytes:
    """Describe a job by width, height, bands and count, and the steps."""
    return pack(f"{len(numbers) + 1}i", *numbers[:4], is_converted, *numbers[4:])


FAULTS = [
    job_of(8, 8, 3, 1, 8, 8, 0), job_of(8, 8, 3, 1, 8, 8, -2), job_of(8, 8, 3, 1, 0, 8, -1),
    job_of(8, 8, 3, 1, 8, -8, -1), job_of(9, 8, 3, 1, 1, 8, -1), job_of(8, 9, 3, 1, 8, 1, -1),
    job_of(0, 8, 3, 1, 8, 8, -1), job_of(8, -1, 3, 1, 8, 8, -1), job_of(8, 8, 2, 1, 8, 8, -1),
    job_of(8, 8, 0, 1, 8, 8, -1), job_of(8, 8, 1, 1, 8, 8, -1, is_converted=True),
    job_of(8, 8, 3, 0), job_of(8, 8, 3, -1),
    job_of(8, 8, 3, 2, 8, 8, -1, 4, 4, 1), job_of(8, 8, 3, 2, 8, 8, -1, 4, 4, -1),
    job_of(80, 80, 3, 2, 40, 40, -1, 4, 40, 0), job_of(MOST_SIDE + 1, 8, 3, 1, MOST_SIDE, 8, -1),
]  # fmt: skip
"""Jobs that are refused."""


def originals(number: int, *, seed: int) -> list[Shape]:
    random = oracle.seeded(seed)
    return [oracle.shape(random, most_reduction=20) for _ in range(number)]


def expected(shapes: Sequence[Shape]) -> bytes:
    """Return what the library that is installed makes of the same jobs."""
    found = list[bytes | bytearray]()
    for original in shapes:
        steps = rungs(original.sides, original.wanted)
        wanted = [WantedPicture(sides=step.sides, source=None if step.source < 0 else step.source) for step in steps]
        pixels = [bytearray(original.pixels)]
        found += [b"\1", *reduce(original.sides, original.bands, wanted, pixels, matrix=original.matrix)]
    return b"".join(found)


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("sanitized") / "driver", ["gcc"], *SANITIZERS)


@pytest.mark.needs("gcc", "gcc")
@pytest.mark.parametrize("instructions", NATIVE)
def test_sanitizers_find_nothing_in_shapes_by_chance_and_in_wide_ones(sanitized: Path, instructions: str) -> None:
    shapes = [*originals(in_ci(3000, otherwise=300), seed=5), WIDE]
    assert drive([str(sanitized), instructions], map(job, shapes)) == expected(shapes)


@pytest.mark.needs("gcc", "gcc")
def test_numbers_out_of_range_are_refused_and_leak_nothing(sanitized: Path) -> None:
    shapes = originals(1, seed=6)
    assert drive([str(sanitized)], [*FAULTS, job(shapes[0])]) == bytes(len(FAULTS)) + expected(shapes)


@needs_qemu
@needs_arm64
def test_neon_computes_the_same_bytes(tmp_path: Path) -> None:
    program = build(tmp_path / "driver", ZIG, "-O3")
    shapes = [*originals(in_ci(2000, otherwise=200), seed=7), WIDE]
    for instructions in ("neon", "scalar"):
        assert drive([*QEMU, str(program), instructions], map(job, shapes)) == expected(shapes)
