"""Tests of metadata and ETags in HTTP headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.stores.headers import (
    MAX_FIELD_BYTES,
    bare,
    escaped,
    is_entity_tag,
    md5s_in,
    stored_attributes,
    unescaped,
)


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


@pytest.mark.parametrize("content_type", ["image/jpeg", "text/html; charset=utf-8", "application/x.a+b;q", "a/b ;"])
def test_a_content_type_that_can_be_sent_is_kept(content_type: str) -> None:
    assert stored_attributes(content_type, None, {}).content_type == content_type


@pytest.mark.parametrize(
    "content_type",
    ["", "jpeg", "image/", "image/jpeg\r\nX: y", "image/jp\u00e9g", "a/b c", f"a/{'b' * MAX_FIELD_BYTES}"],
)
def test_a_content_type_that_cannot_be_sent_is_unknown(content_type: str) -> None:
    assert stored_attributes(content_type, None, {}).content_type == "application/octet-stream"


@pytest.mark.parametrize("value", ["public, max-age=60", "anything printable", "a"])
def test_a_cache_control_that_can_be_sent_is_kept(value: str) -> None:
    assert stored_attributes("a/b", value, {}).cache_control == value


@pytest.mark.parametrize(
    "value", ["", " ", "a\r\nX: y", "a\n", "\u00e9", "a\x00", " a", "a" * (MAX_FIELD_BYTES + 1), None]
)
def test_a_cache_control_that_cannot_be_sent_is_left_out(value: str | None) -> None:
    assert stored_attributes("a/b", value, {}).cache_control is None


def test_an_etag_can_be_sent_unless_it_has_what_would_end_it() -> None:
    assert is_entity_tag("d41d8cd98f00b204e9800998ecf8427e-12")
    assert not [etag for etag in ('a"b', "a b", "a\r\nX: y", "\u00e9", "a" * 1025) if is_entity_tag(etag)]
