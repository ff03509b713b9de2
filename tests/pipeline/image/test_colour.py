"""Colours are preserved in a derivative, whatever the colour space of the original."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Literal

import PIL.Image
import pytest
import pyvips
from PIL import ImageChops, ImageCms, ImageStat

from loadtest.paint import CORNERS, Photograph, paint, pixels
from pipeline.image.transfer_curve import to_linear
from pipeline.size import Size
from tests.pipeline.render.test_render import assert_painted, colour_at
from tests.pipeline.rendering import CORPUS, needs_corpus, render_into, seen

SMALL = Photograph(width=600, height=450)


@pytest.mark.parametrize(("profile", "tolerance"), [("p3", 6), ("cmyk", 42)])
def test_colours_of_another_gamut_become_srgb(tmp_path: Path, profile: str, tolerance: int) -> None:
    """CMYK inks cannot reproduce every colour: the painted blue loses 40 levels of its blue, hence the tolerance."""
    original = tmp_path / "original.jpg"
    picture = pixels(SMALL).copy(interpretation="srgb").icc_transform(profile, input_profile="srgb")
    picture.write_to_file(str(original), profile=profile, Q=95)
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert_painted(derivative.path, tolerance=tolerance)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif"])
def test_a_wide_gamut_may_be_kept(tmp_path: Path, name: Literal["jpeg", "png", "webp", "avif"]) -> None:
    original = tmp_path / "original.png"
    wide = pixels(SMALL).copy(interpretation="srgb").icc_transform("p3", input_profile="srgb")
    wide.write_to_file(str(original), profile="p3")
    size = Size(name="a", width=600, gamut="keep", format=name, quality=95)
    (derivative,) = render_into(tmp_path / "out", original, size).derivatives
    picture = seen(derivative.path)
    assert len(picture.info["icc_profile"]) < 1000
    kept = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    shown = ImageCms.profileToProfile(picture, kept, ImageCms.createProfile("sRGB"))
    assert shown
    shown.save(tmp_path / "shown.png")
    assert_painted(str(tmp_path / "shown.png"), tolerance=8)


def test_srgb_is_never_written_out_at_length(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, SMALL, profile="srgb")
    (derivative,) = render_into(tmp_path / "out", original, Size(name="a", width=300, gamut="keep")).derivatives
    assert "icc_profile" not in seen(derivative.path).info


def test_16_bits_become_8(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    (pixels(SMALL) * 257).cast("ushort").copy(interpretation="rgb16").write_to_file(str(original))
    for derivative in render_into(
        tmp_path / "out", original, Size(name="a", width=600), Size(name="b", width=50)
    ).derivatives:
        assert seen(derivative.path).mode == "RGB"
        assert_painted(derivative.path, tolerance=1)


def profiled(gamma: float) -> bytes:
    """Return a screen profile with sRGB's primaries and this gamma, with only the tags that ICC.1:2001-04 requires."""
    primaries = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139), (0.9642, 1, 0.8249))
    xyz = [b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65_536 * part) for part in one)) for one in primaries]
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), xyz, strict=True))
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, content = struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(content), len(value))
        content += value
    head = struct.pack(">I4s4s", 128 + len(table) + len(content), b"lcms", b"\2\x40\0\0") + b"mntrRGB XYZ " + bytes(12)
    head = (head + b"acsp").ljust(68, b"\0") + xyz[3][8:]
    return head.ljust(128, b"\0") + table + content


def labelled(picture: pyvips.Image, profile: bytes) -> pyvips.Image:
    copy = picture.copy()
    copy.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("width", [3000, 1500, 600])
def test_a_ramp_of_16_bits_keeps_its_dark_levels_whatever_its_profile(tmp_path: Path, gamma: float, width: int) -> None:
    original = tmp_path / "original.png"
    codes = [round(65_535 * to_linear(60 / 255 * x / 2999) ** (1 / gamma)) for x in range(3000)]
    grey = pyvips.Image.new_from_array([codes]).cast("ushort").replicate(1, 40)
    ramp = grey.bandjoin([grey, grey]).copy(interpretation="rgb16")
    labelled(ramp, profiled(gamma)).write_to_file(str(original))
    size = Size(name="a", width=width, format="png")
    (derivative,) = render_into(tmp_path / "out", original, size).derivatives
    shown = [colour_at(seen(derivative.path), x, 3)[0] for x in range(width)]
    assert set(shown) == set(range(61))
    assert max(abs(level - 60 * x / (width - 1)) for x, level in enumerate(shown)) <= 2


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_a_chequerboard_of_16_bits_keeps_its_light_whatever_its_profile(tmp_path: Path, gamma: float) -> None:
    original = tmp_path / "original.png"
    squares = pyvips.Image.new_from_array([[0, 65_535], [65_535, 0]]).cast("ushort").replicate(300, 300)
    board = squares.bandjoin([squares, squares]).copy(interpretation="rgb16")
    labelled(board, profiled(gamma)).write_to_file(str(original))
    (derivative,) = render_into(tmp_path / "out", original, Size(name="a", width=150, format="png")).derivatives
    assert colour_at(seen(derivative.path), 70, 70) == pytest.approx((188, 188, 188), abs=3)


def test_alpha_of_16_bits_passes_beside_a_transform(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    picture = pixels(SMALL).bandjoin(128)
    deep = (picture * 257).cast("ushort").copy(interpretation="rgb16")
    labelled(deep, profiled(1.8)).write_to_file(str(original))
    for width in (600, 200):
        (derivative,) = render_into(tmp_path / "out", original, Size(name="a", width=width, format="png")).derivatives
        assert colour_at(seen(derivative.path), 40, 40)[3] == pytest.approx(128, abs=1)


def test_sizes_of_both_gamuts_are_made_of_16_bits(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    deep = (pixels(SMALL) * 257).cast("ushort").copy(interpretation="rgb16")
    labelled(deep, profiled(1.8)).write_to_file(str(original))
    sizes = (Size(name="kept", width=300, gamut="keep"), Size(name="shown", width=400))
    kept, shown = render_into(tmp_path / "out", original, *sizes).derivatives
    assert "icc_profile" in seen(kept.path).info
    assert "icc_profile" not in seen(shown.path).info
    assert colour_at(seen(kept.path), 10, 10) == pytest.approx(CORNERS[0], abs=3)


def test_a_profile_that_is_longer_than_a_small_picture_is_not_kept(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    profile = profiled(1.8)
    long = (len(profile) + 20_000).to_bytes(4, "big") + profile[4:] + bytes(20_000)
    labelled(pixels(SMALL).copy(interpretation="srgb"), long).write_to_file(str(original))
    kept, shown = render_into(
        tmp_path / "out", original, Size(name="a", width=300, gamut="keep"), Size(name="b", width=300)
    ).derivatives
    assert Path(kept.path).read_bytes() == Path(shown.path).read_bytes()


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    plain, labelled = tmp_path / "plain.png", tmp_path / "labelled.png"
    paint(plain, SMALL)
    paint(labelled, SMALL, profile="srgb")
    assert labelled.stat().st_size > plain.stat().st_size
    whole = Size(name="whole", width=600)
    contents = {Path(render_into(tmp_path, path, whole).derivatives[0].path).read_bytes() for path in (plain, labelled)}
    assert len(contents) == 1


def test_a_profile_that_is_broken_is_as_good_as_none(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, SMALL, profile="p3", Q=95)
    content = bytearray(original.read_bytes())
    start = content.index(b"ICC_PROFILE") + 14
    content[start + 128 : start + 400] = bytes(272)
    original.write_bytes(content)
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert_painted(derivative.path)


def test_grey_stays_grey(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    pixels(SMALL).copy(interpretation="srgb").colourspace("b-w").write_to_file(str(original))
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert seen(derivative.path).mode == "L"


@needs_corpus
def test_wide_gamut_is_converted_as_another_program_converts_it(tmp_path: Path) -> None:
    original = CORPUS / "photos" / "imagor__jpg-24bit-icc-adobe-rgb.jpg"
    (derivative,) = render_into(tmp_path, original, Size(name="a", width=1900, format="png")).derivatives
    with PIL.Image.open(original) as image, PIL.Image.open(derivative.path) as ours:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        srgb = ImageCms.createProfile("sRGB")
        theirs = ImageCms.profileToProfile(image, embedded, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC)
        assert theirs
        difference = ImageStat.Stat(ImageChops.difference(theirs, ours))
    assert max(difference.mean) < 1
