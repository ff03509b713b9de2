"""Builds of the library into the program `driver.c`, and the jobs that it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

import pytest

from pipeline.kernel.library import PATH
from pipeline.kernel.light import levels_of_light, light_of_levels
from pipeline.kernel.reduction import rungs
from tests.pipeline.kernel.oracle import MATRIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.pipeline.kernel.oracle import Shape

SOURCES = sorted(PATH.parent.glob("*.c"))
TABLES = pack("256h", *light_of_levels()) + levels_of_light() + pack("9h", *MATRIX)
DRIVER = Path(__file__).with_name("driver.c")
ZIG = (sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.17")
ARM64_LIBRARIES = Path("/usr/aarch64-linux-gnu")
"""Of Debian's package libc6-arm64-cross; ziglang would take a minute to compile a C library of its own."""

QEMU = ("qemu-aarch64-static", "-L", str(ARM64_LIBRARIES))
needs_qemu = pytest.mark.needs(QEMU[0], "qemu-user-static")
needs_arm64 = pytest.mark.needs(str(ARM64_LIBRARIES / "lib/ld-linux-aarch64.so.1"), "libc6-arm64-cross")


def build(program: Path, compiler: Sequence[str], *flags: str, driver: Path = DRIVER) -> Path:
    """Compile a driver and the library with all warnings, each of which is an error."""
    warnings = "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wvla", "-Werror"
    command = [*compiler, *warnings, *flags, f"-I{PATH.parent}", *map(str, SOURCES), str(driver), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def job(original: Shape) -> bytes:
    """Describe a reduction of which all pictures are written, also those between two of them."""
    steps = rungs(original.sides, original.wanted)
    described = b"".join(pack("3i", *step.sides, step.source) for step in steps)
    head = pack("5i", *original.sides, original.bands, len(steps), original.is_converted)
    return head + described + original.pixels


def drive(command: Sequence[str], jobs: Iterable[bytes]) -> bytes:
    """Return what the driver writes for some jobs."""
    done = subprocess.run(command, input=TABLES + b"".join(jobs), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return done.stdout
