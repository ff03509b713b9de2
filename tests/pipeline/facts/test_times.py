"""Times of EXIF, XMP, IPTC and PNG become ISO 8601, or None."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.facts.times import moment, offset_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021:04:11 15:47:53", "2021-04-11T15:47:53"),
        ("2021-04-11T15:47:53.50-05:00", "2021-04-11T15:47:53.5-05:00"),
        ("2021-04-11T15:47Z", "2021-04-11T15:47:00Z"),
        ("20210411 154753+0200", "2021-04-11T15:47:53+02:00"),
        ("2021/04/11 15:47:53", "2021-04-11T15:47:53"),
        ("2021:04:11 15:47:53 \0", "2021-04-11T15:47:53"),
        ("2021-04-11", "2021-04-11"),
        ("1858-06-02T20:00:00", "1858-06-02T20:00:00"),
    ],
)
def test_every_form_is_read(text: str, expected: str) -> None:
    assert str(moment(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        None, "", "0000:00:00 00:00:00", "    :  :     :  :  ", "2021:13:01 00:00:00", "2021:02:30 00:00:00",
        "2021:04:11 24:00:00", "2021:04:11 15:60:00", "1970:01:01 00:00:00", "1970-01-01T01:00:00+01:00",
        "1969:12:31 19:00:00", "1600:01:01 00:00:00", "9999:01:01 00:00:00", "20100000", "2010-01", "yesterday",
        "2024-04-22T14:38:09GMT+2", "٢٠٢١:04:11 15:47:53", "2021:04-11 15:47:53",
    ],
)  # fmt: skip
def test_nonsense_is_no_moment(text: str | None) -> None:
    assert moment(text) is None


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        ("2021:04:11 15:47:53", ()),
        ("2021-04-11", ("date-only",)),
        ("1980:01:01 00:03:10", ("default-clock",)),
        ("2002:12:08 12:00:00", ("default-clock",)),
        ("2000:01:01 00:00:00", ("default-clock",)),
        ("2000:01:01 00:20:00", ()),
    ],
)
def test_a_time_at_which_clocks_start_is_doubtful(text: str, doubts: tuple[str, ...]) -> None:
    found = moment(text)
    assert found is not None
    assert found.doubts == doubts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+02:00", "+02:00"), ("-0330", "-03:30"), ("Z", "Z"), ("+14:00\0", "+14:00"), ("+14:01", ""), ("+02:60", ""),
        ("", ""), ("   :  ", ""), ("+2", ""),
    ],
)  # fmt: skip
def test_an_offset_is_one_that_a_zone_may_have(text: str, expected: str) -> None:
    assert offset_of(text) == expected


def test_only_an_equal_local_time_lends_its_offset() -> None:
    own, other = moment("2021:04:11 15:47:53"), moment("2021-04-11T15:47:54+02:00")
    assert own is not None
    assert str(own.with_offset_of([None, other])) == "2021-04-11T15:47:53"
    same = own.with_offset_of([other, moment("2021-04-11T15:47:53+02:00")])
    assert (str(same), same.doubts) == ("2021-04-11T15:47:53+02:00", ("other-offset",))


@given(st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2099-01-01")))
def test_what_is_read_is_what_was_written(written: datetime) -> None:
    found = moment(written.strftime("%Y:%m:%d %H:%M:%S"), part=f"{written.microsecond:06}")
    if found is not None:
        assert datetime.fromisoformat(str(found)) == written


@given(st.text(max_size=30))
def test_no_text_raises_an_error(text: str) -> None:
    moment(text, part=text, offset=text)
