"""Components are built as the settings require."""

from __future__ import annotations

from pathlib import Path

from proxy.app.wiring import connections
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes


def test_every_job_and_every_page_view_in_line_can_put_all_its_sizes_at_once() -> None:
    settings = Settings(workers=2, waiting=32, sizes=read_sizes(Path(SIZES_FILE)))
    assert connections(settings) == (2 + 2 + 32) * 4 + 20
