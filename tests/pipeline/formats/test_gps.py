"""A position is found in the bytes of derivatives in every format."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.gps import has_position
from pipeline.image.sample import paint_sample

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.jpg"
    paint_sample(str(path))
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_every_format_of_derivatives_is_searched(sample: Path, suffix: str) -> None:
    picture = pyvips.Image.new_from_file(str(sample)).resize(0.1)
    assert has_position(picture.write_to_buffer(suffix, keep="exif"))
    assert not has_position(picture.write_to_buffer(suffix, keep="none"))


def test_other_exif_is_no_position(sample: Path) -> None:
    picture = pyvips.Image.new_from_file(str(sample)).resize(0.1)
    for field in picture.get_fields():
        if field.startswith("exif-ifd3-"):
            picture.remove(field)
    data = picture.write_to_buffer(".jpg", keep="exif")
    assert b"Sample" in data
    assert not has_position(data)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order: str) -> None:
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(f"{order}HHII", 0x8825, 4, 1, 26)
    assert has_position(b"Exif\x00\x00" + mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry)


def test_xmp_is_searched() -> None:
    assert has_position(b'<rdf:Description exif:GPSLatitude="52,31.2N"/>')


@given(st.binary(max_size=64))
def test_no_bytes_are_an_error(data: bytes) -> None:
    for mark in (b"II\x2a\x00", b"MM\x00\x2a"):
        has_position(mark + data)
