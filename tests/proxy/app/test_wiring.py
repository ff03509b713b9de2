"""Components are built as the settings require."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.app.public_urls import absolute_base_url
from proxy.app.start_faults import store_fault
from proxy.app.wiring import connections, store_config
from proxy.errors import StoreRefused
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes

ORIGIN = "https://images.example.org"


def test_every_job_and_every_page_view_in_line_can_put_all_its_sizes_at_once() -> None:
    settings = Settings(workers=2, waiting=32, sizes=read_sizes(Path(SIZES_FILE)))
    assert connections(settings) == (2 + 2 + 32) * 4 + 20


BUCKET = "s3://pictures"


@pytest.mark.parametrize(
    ("originals", "public", "endpoint", "is_seen"),
    [
        ("https://cdn.test/a", "https://cdn.test/b", "", True),
        ("https://cdn.test", "https://cdn.test", "https://s3.test", True),
        ("https://CDN.test:443", "http://cdn.test/", "", True),
        ("http://cdn.test:81", "http://cdn.test:82", "", False),
        ("https://origin.test", "https://cdn.test", "", False),
        ("https://cdn.test", "/files", "", False),
        ("", "https://cdn.test", "", False),
        ("https://pictures.s3.amazonaws.com", "https://pictures.s3.amazonaws.com", "", False),
        ("http://127.0.0.1:8333/pictures", "http://127.0.0.1:8333/pictures", "http://127.0.0.1:8333", False),
        ("http://127.0.0.1:8334/pictures", "http://127.0.0.1:8334/pictures", "http://127.0.0.1:8333", True),
        ("https://pictures.s3.test", "https://pictures.s3.test", "https://s3.test", False),
    ],
)
def test_browsers_see_what_is_cached_on_the_host_they_read_unless_it_is_the_buckets_own(
    originals: str, public: str, endpoint: str, *, is_seen: bool
) -> None:
    settings = Settings(
        store=BUCKET, originals_base_url=originals, public_base_url=public, s3_endpoint_url=endpoint, sizes=()
    )
    config = store_config(settings)
    assert config.is_seen_by_browsers is is_seen
    assert (config.is_original("g/1_original.jpg"), config.is_original("g/1.jpg")) == (True, False)


def test_an_origin_that_must_not_be_read_is_named_by_its_setting() -> None:
    fault = StoreRefused("ORIGINALS_BASE_URL: is on the host of PUBLIC_BASE_URL.")
    assert store_fault(fault, settings=Settings(store=BUCKET)) == str(fault)


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
