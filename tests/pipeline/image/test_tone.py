"""Colours that a HEIC or AVIF names by numbers: wide primaries are converted, HDR is shown as on ordinary screens."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import PIL.Image
import pytest
from PIL import ImageCms

from pipeline.formats import icc
from pipeline.image import tone, vips
from pipeline.size import Size
from tests.pipeline.formats.heifs import Codec, Part, box, coded, tiled, write
from tests.pipeline.image.test_colour import profiled
from tests.pipeline.rendering import render_into, seen

if TYPE_CHECKING:
    from pathlib import Path

CODECS: tuple[Codec, ...] = ("heic", "avif")
SRGB, BT2020, P3 = 1, 9, 12
SRGB_CURVE = 13
WHITE = {tone.PQ: 148, tone.HLG: 191}
"""The level of the white of paper, 203 cd/m2: 58 % in PQ and 75 % in HLG (ITU-R BT.2408, table 1)."""

SHOWN_WHITE = 191
"""Half of the light of the brightest white, which leaves room for what is brighter."""

SHOWN = Size(name="a", width=200, format="png")


def labelled(part: Part, primaries: int, transfer: int, *more: bytes) -> Part:
    bare = tuple(one for one in part.properties if one[4:8] != b"colr")
    numbers = box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, 6, 0x80))
    return replace(part, properties=(*bare, numbers, *more))


def shown(folder: Path, part: Part, codec: Codec, size: Size = SHOWN) -> PIL.Image.Image:
    original = write(folder / "original", [part], codec)
    return seen(render_into(folder / "out", original, size).derivatives[0].path)


def flat(colour: tuple[int, int, int], codec: Codec) -> Part:
    return coded(PIL.Image.new("RGB", (200, 100), colour), codec, **({"chroma": 444} if codec == "heic" else {}))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("transfer", [tone.PQ, tone.HLG])
@pytest.mark.parametrize("primaries", [SRGB, BT2020, P3])
def test_white_and_black_of_hdr_are_shown_as_such(tmp_path: Path, codec: Codec, transfer: int, primaries: int) -> None:
    for level, expected in ((WHITE[transfer], SHOWN_WHITE), (0, 0), (255, 255)):
        part = labelled(flat((level,) * 3, codec), primaries, transfer)
        assert shown(tmp_path, part, codec).getpixel((99, 50)) == pytest.approx((expected,) * 3, abs=4)


@pytest.mark.parametrize("transfer", [tone.PQ, tone.HLG])
@pytest.mark.parametrize("is_deep", [False, True])
@pytest.mark.parametrize("bands", [1, 3])
def test_brighter_light_is_never_shown_darker(transfer: int, bands: int, *, is_deep: bool) -> None:
    levels = range(0, 65_536, 257) if is_deep else range(256)
    width = 2 if is_deep else 1
    ramp = b"".join(bands * level.to_bytes(width, "little") for level in levels)
    image = tone.to_sdr(vips.from_bytes(ramp, (256, 1), bands=bands, is_deep=is_deep), transfer)
    assert image.format == ("ushort" if is_deep else "uchar")
    found = [image.getpoint(x, 0)[0] for x in range(256)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == pytest.approx((0, 65_535 if is_deep else 255), rel=0.01)


@pytest.mark.parametrize("codec", CODECS)
def test_primaries_named_by_number_are_those_of_the_profile(tmp_path: Path, codec: Codec) -> None:
    colour = (200, 60, 60)
    numbered = shown(tmp_path, labelled(flat(colour, codec), P3, SRGB_CURVE), codec).getpixel((99, 50))
    assert numbered == pytest.approx((217, 43, 53), abs=4)
    wider = shown(tmp_path, labelled(flat(colour, codec), BT2020, SRGB_CURVE), codec).getpixel((99, 50))
    assert wider[0] > numbered[0]  # type: ignore[index]


@pytest.mark.parametrize("codec", CODECS)
def test_a_profile_counts_more_than_numbers(tmp_path: Path, codec: Codec) -> None:
    profile = box(b"colr", b"prof" + profiled(1.0))
    part = labelled(flat((100, 100, 100), codec), P3, tone.PQ, profile)
    assert shown(tmp_path, part, codec).getpixel((99, 50)) == pytest.approx((168, 168, 168), abs=3)


@pytest.mark.parametrize("primaries", [BT2020, P3])
def test_a_gamut_that_is_kept_has_a_profile_that_others_read(tmp_path: Path, primaries: int) -> None:
    kept = Size(name="a", width=200, format="png", gamut="keep")
    picture = shown(tmp_path, labelled(flat((200, 60, 60), "avif"), primaries, SRGB_CURVE), "avif", kept)
    assert picture.getpixel((99, 50)) == pytest.approx((200, 60, 60), abs=3)
    profile = picture.info["icc_profile"]
    assert icc.is_embeddable(profile)
    to_srgb = ImageCms.profileToProfile(
        PIL.Image.new("RGB", (1, 1), (255, 255, 255)), io.BytesIO(profile), ImageCms.createProfile("sRGB")
    )
    assert to_srgb
    assert to_srgb.getpixel((0, 0)) == (255, 255, 255)


def test_tiles_are_mapped_as_the_whole_is(tmp_path: Path) -> None:
    grid, *tiles = tiled(PIL.Image.new("RGB", (200, 100), (148, 148, 148)), 128, "avif")
    parts = [grid, *(labelled(tile, P3, tone.PQ) for tile in tiles)]
    (derivative,) = render_into(tmp_path / "out", write(tmp_path / "original", parts, "avif"), SHOWN).derivatives
    for place in ((10, 10), (190, 90)):
        assert seen(derivative.path).getpixel(place) == pytest.approx((SHOWN_WHITE,) * 3, abs=4)
