"""`gf-images render`: a sandbox that is required and missing is reported before any file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from loadtest.paint import Photograph, paint
from pipeline.process.confinement.syscalls import LANDLOCK_CREATE_RULESET
from tests.pipeline.process.confinement.lacking import fail_calls

if TYPE_CHECKING:
    from pathlib import Path


def test_a_sandbox_that_is_required_and_missing_is_reported(tmp_path: Path) -> None:
    def without_landlock() -> None:
        fail_calls(LANDLOCK_CREATE_RULESET, errno.ENOSYS)

    photo = tmp_path / "photo.jpg"
    paint(photo, Photograph(width=40, height=30))
    result = subprocess.run(
        [sys.executable, "-m", "proxy", "render", str(photo), "--out", str(tmp_path / "out")],
        env={**os.environ, "SANDBOX": "require"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=without_landlock,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("SANDBOX: is require, but Landlock is not in force: ")
    assert not list((tmp_path / "out").iterdir())
