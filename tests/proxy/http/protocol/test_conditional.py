"""Conditional requests and range requests (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

from proxy.errors import OutOfRange, PreconditionFailed
from proxy.http.protocol.conditional import Conditions, conditions, last_modified
from proxy.stores.base import Attributes, Blob

if TYPE_CHECKING:
    from litestar.types import HTTPScope

MODIFIED = "Tue, 24 Nov 2026 10:00:00 GMT"
EARLIER, LATER = "Tue, 24 Nov 2026 09:59:59 GMT", "Tue, 24 Nov 2026 10:00:01 GMT"


def blob(size: int = 10) -> Blob:
    modified = datetime(2026, 11, 24, 10, 0, 0, 999_999, tzinfo=UTC)
    return Blob(key="a", bytes=size, etag="abc", modified=modified, attributes=Attributes())


def asked(method: str = "GET", **told: str | None) -> Conditions:
    return Conditions(method=method, **told)


@pytest.mark.parametrize(
    ("told", "has"),
    [
        ({}, False),
        ({"if_none_match": '"abc"'}, True),
        ({"if_none_match": 'W/"abc"'}, True),
        ({"if_none_match": '"x", W/"y" ,"abc"'}, True),
        ({"if_none_match": '"x,"abc"'}, False),
        ({"if_none_match": "*"}, True),
        ({"if_none_match": "abc"}, False),
        ({"if_none_match": '"ABC"'}, False),
        ({"if_none_match": '"x"', "if_modified_since": LATER}, False),
        ({"if_modified_since": MODIFIED}, True),
        ({"if_modified_since": LATER}, True),
        ({"if_modified_since": EARLIER}, False),
        ({"if_modified_since": "Tuesday, 24-Nov-26 10:00:00 GMT"}, True),
        ({"if_modified_since": "Tue Nov 24 10:00:00 2026"}, True),
        ({"if_modified_since": "yesterday"}, False),
        ({"if_modified_since": ""}, False),
    ],
)
def test_bytes_that_the_client_has_are_not_sent_again(told: dict[str, str], *, has: bool) -> None:
    assert asked(**told).has(blob()) == has


@pytest.mark.parametrize(
    ("told", "is_well"),
    [
        ({}, True),
        ({"if_match": '"abc"'}, True),
        ({"if_match": "*"}, True),
        ({"if_match": '"x", "abc"'}, True),
        ({"if_match": 'W/"abc"'}, False),
        ({"if_match": '"x"'}, False),
        ({"if_match": '"abc"', "if_unmodified_since": EARLIER}, True),
        ({"if_unmodified_since": MODIFIED}, True),
        ({"if_unmodified_since": EARLIER}, False),
        ({"if_unmodified_since": "never"}, True),
    ],
)
def test_a_blob_that_is_not_as_it_was_is_told_apart(told: dict[str, str], *, is_well: bool) -> None:
    if is_well:
        asked(**told).check(blob())
    else:
        with pytest.raises(PreconditionFailed):
            asked(**told).check(blob())


@pytest.mark.parametrize(
    ("wanted", "byte_range"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-4", (2, 5)),
        ("bytes=2-", (2, 10)),
        ("bytes=0-99", (0, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("BYTES= 2-4 ", (2, 5)),
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=0-1,3-4", None),
        ("bytes=a-b", None),
        ("items=0-1", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_one_part_is_sent_and_what_cannot_be_read_or_is_many_is_answered_with_the_whole(
    wanted: str, byte_range: tuple[int, int] | None
) -> None:
    due = asked(range=wanted).byte_range(blob())
    assert (due and (due.first, due.end)) == byte_range
    assert due is None or due.etag == "abc"


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_part_beyond_the_end_is_no_part(wanted: str) -> None:
    with pytest.raises(OutOfRange) as refused:
        asked(range=wanted).byte_range(blob())
    assert refused.value.total == 10


def test_nothing_at_all_has_no_parts_but_its_last_bytes_are_the_whole() -> None:
    assert asked(range="bytes=-5").byte_range(blob(0)) is None
    with pytest.raises(OutOfRange):
        asked(range="bytes=0-").byte_range(blob(0))


@pytest.mark.parametrize(
    ("validator", "is_partial"),
    [('"abc"', True), (MODIFIED, True), ('W/"abc"', False), ('"x"', False), (LATER, False), (EARLIER, False)],
)
def test_a_part_of_what_the_client_had_is_sent_only_of_that(validator: str, *, is_partial: bool) -> None:
    assert (asked(range="bytes=0-1", if_range=validator).byte_range(blob()) is not None) == is_partial


def test_only_a_get_asks_for_a_part() -> None:
    assert asked("HEAD", range="bytes=0-1").byte_range(blob()) is None


def test_a_header_that_comes_twice_is_one_list() -> None:
    headers = [(b"if-none-match", b'"x"'), (b"if-none-match", b'"abc"'), (b"accept", b"*/*")]
    scope: HTTPScope = {"method": "GET", "headers": headers}  # type: ignore[typeddict-item] # no other keys are read
    assert conditions(scope).has(blob())


def test_only_a_plain_get_needs_no_look() -> None:
    assert not asked().need_blob
    assert asked("HEAD").need_blob
    assert asked(range="bytes=0-1").need_blob


def test_the_date_of_a_blob_has_whole_seconds() -> None:
    assert last_modified(blob()) == MODIFIED


def test_last_modified_is_never_in_the_future() -> None:
    ahead = replace(blob(), modified=datetime.now(UTC) + timedelta(hours=1))
    assert parsedate_to_datetime(last_modified(ahead)) <= datetime.now(UTC)


@given(
    told=some.fixed_dictionaries(
        {},
        optional={
            name: some.text(some.characters(max_codepoint=255), max_size=40)
            for name in ("if_match", "if_none_match", "if_modified_since", "if_unmodified_since", "if_range", "range")
        },
    ),
    size=some.integers(0, 20),
)
def test_no_header_breaks_anything(told: dict[str, str], size: int) -> None:
    one = asked(**told)
    one.has(blob(size))
    try:
        one.check(blob(size))
        byte_range = one.byte_range(blob(size))
    except (PreconditionFailed, OutOfRange):
        return
    assert byte_range is None or 0 <= byte_range.first < byte_range.end <= size
