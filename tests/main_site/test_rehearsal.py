"""The cut-over from beginning to end, and back, on photographs of which two old backends made the sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.main_site import node
from tests.main_site.rehearsal import EXPECTED, causes
from tests.thorough import in_ci

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(not node.is_there(), reason=node.LACKS),
    pytest.mark.timeout(2700),
]


def test_old_sizes_are_shadowed_compared_promoted_and_put_back(tmp_path: Path) -> None:
    number = str(in_ci(40, otherwise=8))
    report = tmp_path / "report"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.main_site.rehearsal", "--photographs", number, "--keep", str(report)],
        env={**os.environ, "IMAGE_CORPUS": "nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=2600,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "undone: every live name is as the old backends left it, byte for byte" in ended.stdout
    assert (report / "index.html").exists()
    found = causes(report)
    assert "dimensions" in found["jimp"]
    assert {"dimensions", "old-leaks-gps", "old-leaks"} <= found["libvips"].keys()
    for backend, expected in EXPECTED.items():
        assert found[backend].keys() <= {*expected}, backend
