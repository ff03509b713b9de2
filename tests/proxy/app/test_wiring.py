"""Components are built as the settings require."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxy.app.wiring import absolute_base_url, connections
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes


def test_every_job_and_every_page_view_in_line_can_put_all_its_sizes_at_once() -> None:
    settings = Settings(workers=2, waiting=32, sizes=read_sizes(Path(SIZES_FILE)))
    assert connections(settings) == (2 + 2 + 32) * 4 + 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(Settings):
    """Settings of a service that knows its public address."""

    public_origin: str = "https://images.example.org"


def test_the_urls_of_jobs_are_absolute_where_a_public_address_is_known() -> None:
    assert absolute_base_url(Settings()) == "/files"
    assert absolute_base_url(Settings(public_base_url="https://cdn.example.org/a")) == "https://cdn.example.org/a"
    assert absolute_base_url(Known(base_path="/images")) == "https://images.example.org/images/files"
    assert absolute_base_url(Known(public_base_url="https://cdn.example.org")) == "https://cdn.example.org"
