"""The header of a HEIC or AVIF: profile and metadata of the main image, whatever else is in the file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from pipeline.compare.metadata_leaks import leaks
from pipeline.decode.original import open_original
from pipeline.size import Size
from tests.pipeline.decode.test_heif import CODECS, SIDE, WIDE, painted, with_properties
from tests.pipeline.formats.heifs import Codec, Part, box, coded, full_box, repeated, tiled, write
from tests.pipeline.image.test_colour import profiled
from tests.pipeline.rendering import render_into, seen

if TYPE_CHECKING:
    from pathlib import Path

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
GREY = PIL.Image.new("RGB", (256, 128), (100, 100, 100))
IN_LINEAR_LIGHT = 168
"""sRGB's level for the light that level 100 is if levels are proportional to light."""


def exif_of(block: bytes, main: int = 0) -> Part:
    return Part(kind=b"Exif", data=block, references={b"cdsc": [main]})


def exif_block(artist: str = "A. Painter") -> bytes:
    exif = PIL.Image.Exif()
    exif[271], exif[315] = "A Camera", artist
    return bytes(4) + exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("codec", CODECS)
def test_an_image_of_more_tiles_than_libheif_admits_is_rendered(tmp_path: Path, codec: Codec) -> None:
    """Photographs of 108 megapixels have 432 tiles; libheif within libvips opens no file of more than 256 items."""
    original = write(tmp_path / "original", repeated(GREY, 64, (1280, 960), codec), codec)
    derived = render_into(tmp_path / "out", original, WIDE)
    assert (derived.info.width, derived.info.height) == (1280, 960)
    assert seen(derived.derivatives[0].path).getpixel((1200, 900)) == pytest.approx((100, 100, 100), abs=2)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", [b"prof", b"rICC"])
@pytest.mark.parametrize("place", [0, 1])
def test_the_profile_of_the_image_or_of_its_first_tile_is_applied(
    tmp_path: Path, codec: Codec, kind: bytes, place: int
) -> None:
    parts = tiled(GREY, SIDE, codec)
    labelled = with_properties(parts[place:], box(b"colr", kind + profiled(1.0)))
    derived = render_into(tmp_path / "out", write(tmp_path / "original", [*parts[:place], *labelled], codec), WIDE)
    shown = seen(derived.derivatives[0].path).getpixel((100, 100))
    assert shown == pytest.approx((IN_LINEAR_LIGHT,) * 3, abs=3)


@pytest.mark.parametrize("codec", CODECS)
def test_metadata_of_the_main_image_are_found(tmp_path: Path, codec: Codec) -> None:
    """A comparison of derivatives reports metadata that should not be there."""
    main = tiled(GREY, SIDE, codec)
    foreign = exif_of(exif_block(), main=1)
    assert leaks(open_original(write(tmp_path / "foreign", [*main, foreign], codec))) == ()
    own = exif_of(exif_block())
    assert leaks(open_original(write(tmp_path / "own", [*main, own], codec))) == ("camera", "owner")


def test_xmp_of_a_file_of_another_encoder_is_found(tmp_path: Path) -> None:
    original = tmp_path / "original.avif"
    GREY.save(original, "AVIF", xmp=XMP)
    assert leaks(open_original(original)) == ("xmp",)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("block", [b"", b"\xff\xff\xff\xff", bytes(4) + b"II*\0\xff\xff\xff\xff", bytes((1 << 20) + 1)])
def test_metadata_that_are_broken_or_too_long_are_ignored(tmp_path: Path, codec: Codec, block: bytes) -> None:
    parts = [coded(painted(), codec), exif_of(block)]
    owned = Size(name="owned", width=400, keep_copyright=True)
    (derivative,) = render_into(tmp_path / "out", write(tmp_path / "original", parts, codec), owned).derivatives
    assert not seen(derivative.path).getexif()


@pytest.mark.parametrize("codec", CODECS)
def test_boxes_that_no_decoder_of_the_image_needs_are_not_passed_on(tmp_path: Path, codec: Codec) -> None:
    main = coded(painted(), codec)
    nested = box(b"colr", b"prof" + bytes(200))
    for _ in range(200):
        nested = full_box(b"xxxx", nested)
    parts = [replace(main, properties=(*main.properties, nested))]
    derived = render_into(tmp_path / "out", write(tmp_path / "original", parts, codec), WIDE)
    assert derived.info.width == 500
