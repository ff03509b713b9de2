"""The summary of a picture survives the store, and whatever else a store returns counts as missing."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.protocol import Preview, Summary
from proxy.derivatives.picture.summary_metadata import metadata_of, pixels, summary_of
from tests.proxy.derivatives.picture.longest import LONGEST

SUMMARY = Summary(
    width=4000,
    height=3000,
    format="heic",
    animated=False,
    preview=Preview(
        color="#8a96ad",
        lqip="data:image/webp;base64,UklGRhIAAABXRUJQVlA4TAYAAAAvQWxvAGs=",
        thumbhash="GyYKNYxne5QwukiDT4eIy2l1ELAt",
    ),
)


def test_a_summary_survives_the_metadata() -> None:
    for summary in (SUMMARY, LONGEST, msgspec.structs.replace(SUMMARY, animated=True, preview=None)):
        assert summary_of(metadata_of(summary)) == summary


def test_the_longest_summary_fits_beside_the_longest_etag() -> None:
    others = {"render-profile": "p" * 40, "original-etag": "e" * 1024, "width": "9" * 5, "height": "9" * 5}
    whole = {**metadata_of(LONGEST), **others}
    assert sum(len(name) + len(value) for name, value in whole.items()) <= 2000


def test_metadata_of_an_older_version_has_no_summary() -> None:
    older = {"render-profile": "7-8.18.7-930c5932", "original-etag": "a", "width": "300", "height": "225"}
    assert summary_of(older) is None
    assert summary_of({}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("original-width", "0"),
        ("original-width", "-1"),
        ("original-width", "9" * 10),
        ("original-width", "٣"),
        ("original-height", "3000\n"),
        ("original-height", ""),
        ("original-format", "svg"),
        ("original-format", "<script>"),
        ("original-animated", "yes"),
    ],
)
def test_an_invalid_summary_counts_as_missing(name: str, value: str) -> None:
    assert summary_of({**metadata_of(SUMMARY), name: value}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("color", "red"),
        ("color", "#8a96ad;background:url(https://evil.example)"),
        ("lqip", "javascript:alert(1)"),
        ("lqip", "data:image/svg+xml;base64,PHN2Zz4="),
        ("lqip", f"{LONGEST.preview.lqip if LONGEST.preview else ''}AAAA"),
        ("thumbhash", '"><script>'),
        ("thumbhash", ""),
    ],
)
def test_an_invalid_preview_is_left_out(name: str, value: str) -> None:
    found = summary_of({**metadata_of(SUMMARY), name: value})
    assert found == msgspec.structs.replace(SUMMARY, preview=None)


def test_a_number_of_pixels_is_that_or_nothing() -> None:
    assert [pixels(text) for text in ("300", "0", "0300", "-1", "", "3e2", None)] == [300, 0, 0, 0, 0, 0, 0]
