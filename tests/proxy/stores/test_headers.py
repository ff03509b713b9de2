"""Tests of metadata and ETags in HTTP headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.stores.headers import bare, escaped, md5s_in, unescaped


@given(st.dictionaries(st.from_regex(r"[a-z0-9-]+", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"]))))
def test_metadata_comes_back_from_headers_that_are_visible_ascii(metadata: dict[str, str]) -> None:
    headers = escaped(metadata)
    assert all(value.isascii() and value.isprintable() and " " not in value for value in headers.values())
    assert unescaped({name.title(): value for name, value in headers.items()}) == metadata


@pytest.mark.parametrize("etag", ['"abc"', 'W/"abc"', "abc"])
def test_an_etag_is_told_bare(etag: str) -> None:
    assert bare(etag) == "abc"


def test_an_etag_of_many_parts_is_no_md5() -> None:
    assert md5s_in('"d41d8cd98f00b204e9800998ecf8427e"') == ("d41d8cd98f00b204e9800998ecf8427e",)
    assert md5s_in('"d41d8cd98f00b204e9800998ecf8427e-12"') == ()
    assert md5s_in('W/"d41d8cd98f00b204e9800998ecf8427e"') == ()
