"""libFuzzer finds no ladder at which a memory access is wrong, or at which two kinds of instructions differ."""

from __future__ import annotations

import subprocess
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

import pytest

from tests.pipeline.kernel.driven import build
from tests.pipeline.kernel.oracle import seeded
from tests.thorough import in_ci

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAGS = "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"
LADDERS = (
    (40, 30, [(20, 15, -1), (8, 6, 0)]),
    (97, 61, [(33, 21, -1), (33, 21, 0), (5, 3, 0)]),
    (200, 9, [(100, 9, -1), (50, 5, 0), (25, 3, 1), (10, 1, 2)]),
    (16, 16, [(16, 16, -1)]),
)
"""Width and height of an original, and width, height and source of its rungs."""


def seeds() -> Iterator[bytes]:
    """Yield inputs that describe ladders in range, in the form that the program reads."""
    chance = seeded(1)
    for width, height, rungs in LADDERS:
        for bands, is_converted in ((1, 0), (3, 0), (3, 1)):
            steps = b"".join(pack("<3h", wide, high, source + 1) for wide, high, source in rungs)
            yield pack("<5h", width, height, bands, len(rungs), is_converted) + steps + chance.randbytes(200)


@pytest.mark.needs("clang-14", "clang-14 libclang-rt-14-dev")
@pytest.mark.timeout(900)
def test_a_fuzzer_finds_no_fault_and_no_difference_between_instructions(tmp_path: Path) -> None:
    program = build(tmp_path / "fuzzer", ["clang-14"], *FLAGS, driver=Path(__file__).with_name("fuzzer.c"))
    (tmp_path / "inputs").mkdir()
    for number, seed in enumerate(seeds()):
        (tmp_path / "inputs" / str(number)).write_bytes(seed)
    runs = in_ci(50_000, otherwise=3000)
    command = [
        str(program),
        "-seed=1",
        f"-runs={runs}",
        "-max_len=600",
        "-print_final_stats=1",
        str(tmp_path / "inputs"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"stat::number_of_executed_units: {runs}" in done.stderr
