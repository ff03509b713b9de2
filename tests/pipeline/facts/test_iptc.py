"""IPTC records, bare and within the resources of Photoshop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.facts.iptc import BY_LINE, CAPTION, DATE_CREATED, records
from tests.pipeline.facts.metadata_blocks import iptc_block

BLOCK = iptc_block((2, 80, b"Ann"), (2, 80, "Bö".encode()), (2, 55, b"20240131"), (2, 25, b"keyword"))


def test_records_are_found_behind_other_resources() -> None:
    found = records(BLOCK)
    text = found.text(BY_LINE)
    assert text is not None
    assert (text.value, text.doubts) == ("Ann; Bö", ())
    assert found.plain(DATE_CREATED) == "20240131"
    assert (found.text(CAPTION), found.plain(CAPTION)) == (None, "")
    assert (2, 25) not in found.values


def test_records_may_stand_alone() -> None:
    assert records(BLOCK[BLOCK.index(b"\x1c") :]) == records(BLOCK)


def test_a_text_of_no_declared_encoding_that_is_not_utf_8_is_a_guess() -> None:
    text = records(iptc_block((2, 120, "Café".encode("cp1252")), utf_8=False)).text(CAPTION)
    assert text is not None
    assert (text.value, text.doubts) == ("Café", ("encoding",))


def test_a_long_record_states_the_length_of_its_length() -> None:
    long = b"\x1c\x02\x78\x80\x04" + (40_000).to_bytes(4, "big") + b"x" * 40_000
    assert len(records(long).values[CAPTION][0]) == 40_000


@pytest.mark.parametrize("end", [b"\x1c\x02\x78\xff\xff", b"\x1c\x02\x78\x80\x04\xff\xff\xff\xff", b"\x1c\x02", b"x"])
def test_what_stands_before_a_damage_is_read(end: bytes) -> None:
    bare = BLOCK[BLOCK.index(b"\x1c") :]
    assert records(bare + end).text(BY_LINE) == records(bare).text(BY_LINE)


@given(st.integers(0, len(BLOCK)), st.binary(max_size=20))
def test_no_bytes_raise_an_error(place: int, noise: bytes) -> None:
    records(BLOCK[:place] + noise + BLOCK[place + len(noise) :])
    records(b"Photoshop 3.0\0" + noise)
