"""The cut-over from beginning to end, and back, on a handful of photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.main_site import node
from tests.main_site.rehearsal import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(not node.is_there(), reason=node.LACKS),
    pytest.mark.timeout(900),
]


def test_old_sizes_are_shadowed_compared_promoted_and_put_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_CORPUS", "nowhere")
    ended = CliRunner().invoke(main, ["--photographs", "6", "--keep", str(tmp_path / "report")])
    told = ended.output + capfd.readouterr().out
    assert ended.exit_code == 0, told
    assert "undone: every live name is as the old backend left it, byte for byte" in told
    assert "old-blurred" in told
    assert (tmp_path / "report" / "index.html").exists()
