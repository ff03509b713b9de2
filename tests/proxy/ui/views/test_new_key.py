"""The keys of photographs that are dropped on the page."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadKey
from proxy.keys.layouts import PrefixLayout, SiteLayout
from proxy.ui import show
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
        ("虫.heic", "uploads/2026-11-30/虫-abc123_original.heic"),
        ("Дуб и галл.JPG", "uploads/2026-11-30/дуб-и-галл-abc123_original.jpg"),
        ("橡树 虫瘿.png", "uploads/2026-11-30/橡树-虫瘿-abc123_original.png"),
        ("عفصة البلوط.jpg", "uploads/2026-11-30/عفصة-البلوط-abc123_original.jpg"),
        ("עפץ\u202egpj.jpg", "uploads/2026-11-30/עפץ-gpj-abc123_original.jpg"),
        ("हिन्दी.jpg", "uploads/2026-11-30/हिन्दी-abc123_original.jpg"),
        ("Cafe\u0301.jpg", "uploads/2026-11-30/café-abc123_original.jpg"),
        ("🌳🍂.jpg", "uploads/2026-11-30/photo-abc123_original.jpg"),
        ("❤\ufe0f 1\ufe0f\u20e3 gall 👩🏽\u200d🌾.jpg", "uploads/2026-11-30/1-gall-abc123_original.jpg"),
        ("\u3164.jpg", "uploads/2026-11-30/photo-abc123_original.jpg"),
        ("\u0301\u0301a.jpg", "uploads/2026-11-30/a-abc123_original.jpg"),
        ("\ud800.jpg", "uploads/2026-11-30/photo-abc123_original.jpg"),
        ("\uff0f..\uff0fa.jpg", "uploads/2026-11-30/a-abc123_original.jpg"),
        (".jpg", "uploads/2026-11-30/photo-abc123_original.jpg"),
        ("...hidden.jpg", "uploads/2026-11-30/hidden-abc123_original.jpg"),
        ("._gall.jpg", "uploads/2026-11-30/gall-abc123_original.jpg"),
        ("x" * 300 + ".jpg", f"uploads/2026-11-30/{'x' * 40}-abc123_original.jpg"),
        ("a.<img onerror=1>", "uploads/2026-11-30/a-abc123_original"),
        ("", "uploads/2026-11-30/photo-abc123_original"),
    ],
)
def test_a_key_is_readable_and_valid_whatever_the_file_is_called(name: str, key: str) -> None:
    assert made(name) == key


@pytest.mark.parametrize("character", ["x", "я", "虫", "\U00020000", "é", "e\u0301", "\ufdfa"])
def test_the_name_of_a_derivative_fits_a_file_system_however_long_that_of_the_file_is(character: str) -> None:
    for layout in (SITE, PREFIX):
        key = made(f"{character * 300}.jpg", layout=layout)
        assert len(key.rpartition("/")[2].encode()) < 160
        assert character.encode()[:1] in key.encode() or character in ("e\u0301", "\ufdfa")


@given(st.text(max_size=300))
def test_every_name_becomes_a_key_that_is_valid_and_shown_as_it_is(name: str) -> None:
    key = made(name)
    SITE.check_original(key)
    assert show.text(key) == key
    assert unicodedata.is_normalized("NFC", key)


def test_two_files_of_one_name_have_two_keys() -> None:
    def proposed() -> str:
        return new_key("дуб.jpg", folder="", prefix="", today=TODAY, check=SITE.check_original)

    assert len({proposed() for _ in range(20)}) == 20


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
