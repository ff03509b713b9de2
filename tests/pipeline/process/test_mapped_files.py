"""A process that releases the files that it has mapped has fewer resident pages, and goes on."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import pyvips
from pathlib import Path
from pipeline.process.mapped_files import release_mapped_files

def resident(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind))

before = resident("RssFile"), resident("RssAnon")
release_mapped_files()
after = resident("RssFile"), resident("RssAnon")
assert after[0] < before[0] * 2 / 3, (before, after)
assert abs(after[1] - before[1]) < 1024, (before, after)  # the pages of a process are its own
assert pyvips.Image.black(8, 8).pngsave_buffer()
import decimal  # a library that is mapped afterwards
assert decimal.Decimal("0.1") * 10 == 1
print("goes on")
"""


def test_the_code_of_libraries_is_unmapped_and_works() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("goes on\n", "", 0)
