"""EXIF directories: what they hold is read, and what is damaged is left out."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.facts.tags import ExifTags, tags_of_block, tags_of_file
from tests.pipeline.facts.metadata_blocks import ARTIST, ASCII, ISO, MAKE, RATIONAL, SHORT, TIME, exif_block

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = exif_block({MAKE: (ASCII, b"Gall Camera\0")}, {TIME: (RATIONAL, [(1, 250)]), ISO: (SHORT, [100])})


@pytest.mark.parametrize("before", [b"", b"Exif\0\0", b"\xff\xe1\x38\x26Exif\0\0"])
def test_a_block_is_found_behind_what_programs_leave_before_it(before: bytes) -> None:
    tags = tags_of_block(before + BLOCK)
    assert tags.image.texts[MAKE] == b"Gall Camera\0"
    assert (tags.exif.number(TIME), tags.exif.number(ISO)) == (0.004, 100)


def test_both_byte_orders_and_big_tiff_are_read() -> None:
    big = b"MM\0*" + struct.pack(">IHHHIHxxI", 8, 1, ISO, SHORT, 1, 200, 0)
    assert tags_of_block(big).image.number(ISO) == 200
    wide = b"II+\0\x08\0\0\0" + struct.pack("<QQHHQH6xQ", 16, 1, ISO, SHORT, 1, 300, 0)
    assert tags_of_file(BytesIO(wide)).image.number(ISO) == 300


@pytest.mark.parametrize("fraction", [(0, 0), (1, 0)])
def test_a_fraction_without_a_denominator_is_no_number(fraction: tuple[int, int]) -> None:
    assert tags_of_block(exif_block(exif={TIME: (RATIONAL, [fraction])})).exif.number(TIME) is None


def test_a_value_outside_of_the_block_is_left_out_and_the_others_are_read() -> None:
    entries = struct.pack("<HHII", TIME, RATIONAL, 1, 1 << 30) + struct.pack("<HHII", ISO, SHORT, 1, 100)
    tags = tags_of_block(b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4))
    assert (tags.image.number(TIME), tags.image.number(ISO)) == (None, 100)


def test_many_long_texts_are_cut_together() -> None:
    entries = b"".join(struct.pack("<HHII", tag, ASCII, 1 << 20, 8) for tag in range(1, 500))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 499) + entries + bytes(1 << 20)
    assert sum(map(len, tags_of_block(block).image.texts.values())) == 1 << 18


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(struct.pack("<HHII", MAKE, ASCII, 0xFFFFFFFF, 8), id="a text without an end"),
        pytest.param(struct.pack("<HHII", TIME, RATIONAL, 0x7FFFFFFF, 8), id="two billion fractions"),
        pytest.param(struct.pack("<HHII", 0x8769, 4, 1, 8), id="a directory that points to itself"),
        pytest.param(struct.pack("<HHII", ISO, SHORT, 999, 8), id="many numbers"),
    ],
)
def test_the_work_is_bounded(entry: bytes) -> None:
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 0xFFFF) + entry * 0xFFFF
    tags = tags_of_block(block)
    assert all(len(text) <= 1 << 14 for text in tags.image.texts.values())
    assert sum(map(len, tags.image.texts.values())) <= 1 << 18
    assert all(len(numbers) <= 8 for numbers in tags.image.numbers.values())


@pytest.mark.parametrize("block", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"no block", b"\0" * 100 + BLOCK])
def test_what_is_no_block_has_no_tags(block: bytes) -> None:
    assert tags_of_block(block) == ExifTags()


@given(st.binary(max_size=200), st.integers(0, len(BLOCK)))
def test_no_bytes_raise_an_error(noise: bytes, cut: int) -> None:
    tags_of_block(BLOCK[:cut] + noise)
    tags_of_block(b"II*\0\x08\0\0\0" + noise)


def test_the_first_of_two_entries_counts(tmp_path: Path) -> None:
    entries = struct.pack("<HHI4s", ARTIST, ASCII, 2, b"A\0\0\0") + struct.pack("<HHI4s", ARTIST, ASCII, 2, b"B\0\0\0")
    path = tmp_path / "block"
    path.write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4))
    with path.open("rb") as file:
        assert tags_of_file(file).image.texts[ARTIST] == b"A\0"
