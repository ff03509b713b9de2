"""Colours coded as brightness and two differences become RGB by the standards' formulas."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import UnsupportedFormat
from pipeline.image import ycbcr

if TYPE_CHECKING:
    from pipeline.image.vips import Image


def channel(levels: list[int], *, bits: int = 8, stride: int | None = None) -> ycbcr.Channel:
    """Return one line of levels."""
    packed = struct.pack(f"{len(levels)}{'B' if bits <= 8 else 'H'}", *levels)
    length = stride or len(packed)
    pixels = (ctypes.c_uint8 * length).from_buffer_copy(packed.ljust(length, b"\xff"))
    return ycbcr.Channel(pixels=pixels, stride=length, sides=(len(levels), 1), bits=bits)


def line(image: Image) -> list[list[float]]:
    return [image(x, 0) for x in range(image.width)]


@pytest.mark.parametrize(
    ("matrix", "is_full_range", "coded", "expected"),
    [
        (6, True, (76, 85, 255), (254, 0, 0)),
        (5, True, (150, 44, 21), (0, 255, 1)),
        (2, True, (29, 255, 107), (0, 0, 254)),
        (1, True, (54, 99, 255), (254, 0, 0)),
        (1, False, (63, 102, 240), (255, 0, 0)),
        (9, False, (16, 128, 128), (0, 0, 0)),
        (9, False, (235, 128, 128), (255, 255, 255)),
        (6, False, (0, 128, 128), (0, 0, 0)),
        (0, True, (10, 20, 30), (30, 10, 20)),
    ],
)
def test_matrix_and_range_are_followed(
    matrix: int,
    is_full_range: bool,  # noqa: FBT001 - a parameter
    coded: tuple[int, ...],
    expected: tuple[int, ...],
) -> None:
    channels = [channel([level]) for level in coded]
    image = ycbcr.to_rgb(channels, shared=(1, 1), matrix=matrix, is_full_range=is_full_range)
    assert (image.format, image.interpretation) == ("uchar", "srgb")
    assert line(image)[0] == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("bits", [10, 12])
def test_more_bits_become_sixteen(bits: int) -> None:
    top = (1 << bits) - 1
    channels = [channel([0, top], bits=bits), *[channel([1 << (bits - 1)] * 2, bits=bits)] * 2]
    image = ycbcr.to_rgb(channels, shared=(1, 1), matrix=6, is_full_range=True)
    assert (image.format, image.interpretation) == ("ushort", "rgb16")
    assert line(image) == [[0, 0, 0], [65_535, 65_535, 65_535]]


def test_grey_of_a_limited_range_is_stretched() -> None:
    image = ycbcr.to_rgb([channel([16, 126, 235])], shared=(1, 1), matrix=6, is_full_range=False)
    assert (image.bands, image.interpretation, line(image)) == (1, "b-w", [[0], [128], [255]])
    assert line(
        ycbcr.stretched(ycbcr.to_rgb([channel([16, 126, 235])], shared=(1, 1), matrix=6, is_full_range=True))
    ) == [[0], [128], [255]]


def test_shared_colours_are_blended_and_bytes_between_the_lines_are_not_read() -> None:
    channels = [channel([128] * 5, stride=16), channel([128] * 3, stride=16), channel([128, 128, 192], stride=16)]
    image = ycbcr.to_rgb(channels, shared=(2, 1), matrix=6, is_full_range=True)
    assert (image.width, image.height) == (5, 1)
    reds = [pixel[0] for pixel in line(image)]
    assert reds == [128, 128, 128, pytest.approx(150, abs=2), pytest.approx(195, abs=2)]


@pytest.mark.parametrize("matrix", [3, 8, 10, 14, 200])
def test_an_unusual_matrix_is_refused(matrix: int) -> None:
    with pytest.raises(UnsupportedFormat, match="matrix"):
        ycbcr.to_rgb([channel([1])] * 3, shared=(1, 1), matrix=matrix, is_full_range=True)
