"""A PNG of few colours stays one, and never becomes larger than its original."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import PIL.Image
import pytest
import pyvips

from loadtest.paint import CORNERS
from pipeline.size import Size
from tests.pipeline.image.test_colour import profiled
from tests.pipeline.render.test_render import colour_at
from tests.pipeline.rendering import render_into, seen

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = Size(name="whole", width=400)
SIZES = (WHOLE, Size(name="medium", width=300), Size(name="small", width=100))


def speckled(colours: int, mode: str = "P") -> PIL.Image.Image:
    """Return an image of 320 x 200 pixels whose levels of grey alternate, with painted corners."""
    noise = PIL.Image.effect_noise((320, 200), 90).convert("RGB").quantize(colours - len(CORNERS), kmeans=0)
    picture = noise.convert("RGB")
    for corner, place in zip(CORNERS, ((0, 0), (300, 0), (0, 180), (300, 180)), strict=True):
        picture.paste(corner, (*place, place[0] + 20, place[1] + 20))
    return picture.quantize(colours, dither=PIL.Image.Dither.NONE) if mode == "P" else picture.convert(mode)


@pytest.mark.parametrize("colours", [8, 16, 200])
def test_a_palette_is_kept_and_nothing_grows(tmp_path: Path, colours: int) -> None:
    original = tmp_path / "original.png"
    speckled(colours).save(original, optimize=True)
    whole, *_ = derivatives = render_into(tmp_path / "out", original, *SIZES).derivatives
    assert seen(whole.path).mode == "P"
    assert seen(whole.path).convert("RGB").tobytes() == seen(str(original)).convert("RGB").tobytes()
    assert all(derivative.bytes <= original.stat().st_size for derivative in derivatives)
    for derivative in derivatives:
        picture = seen(derivative.path).convert("RGB")
        assert colour_at(picture, 2, 2) == pytest.approx(CORNERS[0], abs=30)


def test_transparent_colours_of_a_palette_are_kept(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    picture = speckled(16)
    transparent = picture.getpixel((160, 100))
    picture.save(original, transparency=transparent)
    for derivative in render_into(tmp_path / "out", original, *SIZES).derivatives:
        assert min(seen(derivative.path).convert("RGBA").getchannel("A").tobytes()) < 255
    assert (
        seen(str(tmp_path / "out" / "whole.png")).convert("RGBA").tobytes()
        == seen(str(original)).convert("RGBA").tobytes()
    )


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_levels_of_grey_do_not_grow(tmp_path: Path, bits: int) -> None:
    original = tmp_path / "original.png"
    ramp = pyvips.Image.gaussnoise(320, 200, mean=128, sigma=60).cast("uchar").copy(interpretation="b-w")
    ramp.pngsave(str(original), bitdepth=bits)
    (whole,) = render_into(tmp_path / "out", original, WHOLE).derivatives
    assert whole.bytes <= original.stat().st_size
    assert seen(whole.path).convert("L").tobytes() == seen(str(original)).convert("L").tobytes()


def test_a_copy_holds_pixels_and_nothing_else(tmp_path: Path) -> None:
    """Neither texts nor bytes behind the compressed pixels or behind the end are copied."""
    original = tmp_path / "original.png"
    speckled(16).save(original)
    content = original.read_bytes()
    place = content.index(b"IDAT")
    length = int.from_bytes(content[place - 4 : place], "big")
    hidden = content[place + 4 : place + 4 + length] + b"secret one"
    data = len(hidden).to_bytes(4, "big") + b"IDAT" + hidden + zlib.crc32(b"IDAT" + hidden).to_bytes(4, "big")
    text = b"Comment\0secret two"
    chunk = len(text).to_bytes(4, "big") + b"tEXt" + text + zlib.crc32(b"tEXt" + text).to_bytes(4, "big")
    rest = content[place + 8 + length :]
    assert content.count(b"IDAT") == 1
    original.write_bytes(content[: place - 4] + chunk + data + rest + b"secret three")
    (whole,) = render_into(tmp_path / "out", original, WHOLE).derivatives
    assert b"secret" not in Path(whole.path).read_bytes()
    assert seen(whole.path).convert("RGB").tobytes() == seen(str(original)).convert("RGB").tobytes()


def turned(picture: PIL.Image.Image, path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6
    picture.save(path, exif=exif)


def wide(picture: PIL.Image.Image, path: Path) -> None:
    picture.save(path, icc_profile=profiled(1.0))


@pytest.mark.parametrize("save", [turned, wide])
def test_what_must_change_is_encoded_and_does_not_grow(
    tmp_path: Path, save: Callable[[PIL.Image.Image, Path], None]
) -> None:
    original = tmp_path / "original.png"
    save(speckled(16), original)
    (whole,) = render_into(tmp_path / "out", original, WHOLE).derivatives
    assert whole.bytes <= original.stat().st_size
    assert (whole.width, whole.height) == ((200, 320) if save is turned else (320, 200))
    assert "icc_profile" not in seen(whole.path).info


def test_names_of_owners_are_added_to_a_copy(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    exif = PIL.Image.Exif()
    exif[33_432] = "A. Photographer"
    speckled(16).save(original, exif=exif)
    size = Size(name="whole", width=400, keep_copyright=True)
    (whole,) = render_into(tmp_path / "out", original, size).derivatives
    assert seen(whole.path).getexif()[33_432] == "A. Photographer"
    assert seen(whole.path).mode == "P"


@pytest.mark.parametrize("interlace", [False, True])
def test_other_pngs_are_encoded_as_before(tmp_path: Path, *, interlace: bool) -> None:
    original = tmp_path / "original.png"
    speckled(16, "RGB").save(tmp_path / "plain.png")
    pyvips.Image.new_from_file(str(tmp_path / "plain.png")).pngsave(str(original), interlace=interlace)
    (whole,) = render_into(tmp_path / "out", original, WHOLE).derivatives
    assert seen(whole.path).mode == "RGB"
