"""Components are built as the settings require."""

from __future__ import annotations

from pathlib import Path

from proxy.app.wiring import absolute_base_url, connections
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes

ORIGIN = "https://images.example.org"


def test_every_job_and_every_page_view_in_line_can_put_all_its_sizes_at_once() -> None:
    settings = Settings(workers=2, waiting=32, sizes=read_sizes(Path(SIZES_FILE)))
    assert connections(settings) == (2 + 2 + 32) * 4 + 20


def test_the_urls_of_jobs_are_absolute_where_a_public_address_is_known() -> None:
    assert absolute_base_url(Settings()) == "/files"
    assert absolute_base_url(Settings(public_base_url="https://cdn.example.org/a")) == "https://cdn.example.org/a"
    assert (
        absolute_base_url(Settings(public_origin=ORIGIN, base_path="/images"))
        == "https://images.example.org/images/files"
    )
    assert (
        absolute_base_url(Settings(public_origin=ORIGIN, public_base_url="https://cdn.example.org"))
        == "https://cdn.example.org"
    )
