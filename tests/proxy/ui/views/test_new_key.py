"""The keys of photographs that are dropped on the page."""

from __future__ import annotations

from datetime import date

import pytest

from proxy.errors import BadKey
from proxy.keys.layouts import PrefixLayout, SiteLayout
from proxy.ui.views.new_key import accepted, new_key

TODAY = date(2026, 11, 30)
SITE, PREFIX = SiteLayout(sizes=("small",)), PrefixLayout(sizes=("small",))


def made(name: str, *, folder: str = "", prefix: str = "", layout: SiteLayout | PrefixLayout = SITE) -> str:
    return new_key(name, folder=folder, prefix=prefix, today=TODAY, check=layout.check_original, random="abc123")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("DSC 0123.JPG", "uploads/2026-11-30/dsc-0123-abc123_original.jpg"),
        ("C:\\photos\\a.png", "uploads/2026-11-30/a-abc123_original.png"),
        ("../../etc/passwd", "uploads/2026-11-30/passwd-abc123_original"),
        ("58_1_original.jpg", "uploads/2026-11-30/58-1-abc123_original.jpg"),
        ("虫.heic", "uploads/2026-11-30/photo-abc123_original.heic"),
        ("x" * 300 + ".jpg", f"uploads/2026-11-30/{'x' * 40}-abc123_original.jpg"),
        ("a.<img onerror=1>", "uploads/2026-11-30/a-abc123_original"),
        ("", "uploads/2026-11-30/photo-abc123_original"),
    ],
)
def test_a_key_is_readable_and_valid_whatever_the_file_is_called(name: str, key: str) -> None:
    assert made(name) == key


def test_a_key_is_in_the_folder_that_was_chosen_and_below_the_prefix_of_originals() -> None:
    assert made("a.jpg", folder="/spring/") == "spring/a-abc123_original.jpg"
    assert made("a.jpg", folder="spring", prefix="gall/") == "gall/spring/a-abc123_original.jpg"
    assert made("a.jpg", folder="gall/58", prefix="gall/") == "gall/58/a-abc123_original.jpg"


def test_the_other_layout_needs_no_mark() -> None:
    layout = PrefixLayout(sizes=("small",), originals_prefixes=("photos/",))
    assert made("a.jpg", prefix="photos/", layout=layout).startswith("photos/uploads/")


def test_a_folder_that_is_no_part_of_a_key_is_refused() -> None:
    for folder in ("a/../b", "a//b", "derivatives"):
        with pytest.raises(BadKey):
            made("a.jpg", folder=folder, layout=PREFIX)


def test_the_page_offers_the_formats_of_originals() -> None:
    assert "image/jpeg" in accepted().split(",")
