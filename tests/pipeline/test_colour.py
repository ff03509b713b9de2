"""Colours reach a derivative whatever the original calls them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import PIL.Image
import pytest
from PIL import ImageChops, ImageCms, ImageStat

from loadtest.paint import Photograph, paint, pixels
from pipeline.size import Size
from tests.pipeline.rendering import CORPUS, needs_corpus, render_into, seen
from tests.pipeline.test_render import assert_painted

SMALL = Photograph(width=600, height=450)


@pytest.mark.parametrize(("profile", "tolerance"), [("p3", 6), ("cmyk", 42)])
def test_colours_of_another_gamut_become_srgb(tmp_path: Path, profile: str, tolerance: int) -> None:
    """The tolerance for CMYK is what ink cannot do: the painted blue loses 40 levels of its blue."""
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


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    plain, labelled = tmp_path / "plain.png", tmp_path / "labelled.png"
    paint(plain, SMALL)
    paint(labelled, SMALL, profile="srgb")
    assert labelled.stat().st_size > plain.stat().st_size
    whole = Size(name="whole", width=600)
    contents = {Path(render_into(tmp_path, path, whole).derivatives[0].path).read_bytes() for path in (plain, labelled)}
    assert len(contents) == 1


def test_a_profile_that_is_broken_is_as_good_as_none(tmp_path: Path) -> None:
    original, profile = tmp_path / "original.jpg", tmp_path / "broken.icc"
    paint(original, SMALL, profile="p3", Q=95)
    content = bytearray(original.read_bytes())
    start = content.index(b"ICC_PROFILE") + 14
    content[start + 128 : start + 400] = bytes(272)
    original.write_bytes(content)
    assert not profile.exists()
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
