"""The cut-over from beginning to end, and back, on a handful of photographs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.main_site import node
from tests.main_site.rehearsal import EXPECTED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(not node.is_there(), reason=node.LACKS),
    pytest.mark.timeout(900),
]


def test_old_sizes_are_shadowed_compared_promoted_and_put_back(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.main_site.rehearsal", "--photographs", "6", "--keep", str(tmp_path / "report")],
        env={**os.environ, "IMAGE_CORPUS": "nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "undone: every live name is as the old backend left it, byte for byte" in ended.stdout
    assert (tmp_path / "report" / "index.html").exists()
    causes = msgspec.json.decode((tmp_path / "report" / "report.json").read_bytes())["causes"]
    assert "dimensions" in causes, "the old backend enlarges what is smaller than a size"
    assert causes.keys() <= {*EXPECTED}
