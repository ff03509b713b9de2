"""Every photograph of the corpus is rendered as Pillow renders it: upright and in its own colours."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import PIL.Image
import pytest
from PIL import ImageChops, ImageCms, ImageOps, ImageStat
from pillow_heif import register_heif_opener

from pipeline.size import Size
from proxy.derivatives.picture.summary_metadata import metadata_of, summary_of
from proxy.rendering.answers import is_preview
from proxy.stores.headers import escaped
from tests.pipeline.rendering import needs_corpus, photographs, render_into, seen

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 24
"""Pixels. The side of the compared thumbnails, too small for detail that two kernels shrink differently."""

TOLERANCE = 6.0
"""Levels of 0 to 255, in the mean of a band; averaging linear light makes fine bright detail up to 5 brighter."""

NOT_PILLOWS = ("sharp__cielab-dagams.tiff", "test-assets__10bit-HDR-P3-nclx.avif")
"""Lab of 16 bits, which Pillow cannot read, and HDR, which it does not map to an ordinary screen."""

NO_PROFILE = (
    "sharp__Channel_digital_image_CMYK_color_no_profile.jpg",
    "thumbor__Giunchedi_2C_Filippo_January_2015_01-cmyk-orientation-exif.jpg",
)
"""CMYK without a profile: its true colours are unknown."""

HASH_SIDE = 16
METADATA_BYTES = 620
"""What S3 leaves of its 2,000 bytes for the summary, if the rest has an ETag of 1,024 and a profile of 200."""

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
ROTATIONS = (None, *PIL.Image.Transpose)
MARKS = (b"Exif\0\0", b"ns.adobe.com", b"Photoshop 3.0", b"MPF\0", b"GPSLatitude", b"MakerNote", b"ICC_PROFILE")
"""How EXIF, XMP, IPTC, MPF and a profile start in a JPEG; compressed pixels hold no such long texts by chance."""


def reference(path: Path) -> PIL.Image.Image:
    """Decode with Pillow alone: upright, in sRGB by the image's own profile, on white."""
    register_heif_opener()
    with PIL.Image.open(path) as opened:
        picture: PIL.Image.Image = ImageOps.exif_transpose(opened)
        profile = opened.info.get("icc_profile")
        if picture.mode.startswith("I;16"):
            picture = picture.convert("I").point(lambda level: level / 256).convert("L")
        if profile and picture.mode in ("RGB", "CMYK", "L"):
            srgb = ImageCms.createProfile("sRGB")
            own = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, own, srgb, outputMode="RGB", renderingIntent=INTENT)
            picture = converted or picture
    white = PIL.Image.new("RGBA", picture.size, "white")
    return PIL.Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def shape(picture: PIL.Image.Image) -> int:
    """Return a hash with one bit per pixel of a small grey copy: whether the next pixel is brighter (a "dHash")."""
    grey = picture.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), PIL.Image.Resampling.BOX).tobytes()
    rows = [grey[start : start + HASH_SIDE + 1] for start in range(0, len(grey), HASH_SIDE + 1)]
    return int("".join("01"[left < right] for row in rows for left, right in pairwise(row)), 2)


def furthest(one: PIL.Image.Image, other: PIL.Image.Image) -> float:
    """Return the mean difference of two images in the band that differs most."""
    small = [picture.convert("RGB").resize((SIDE, SIDE), PIL.Image.Resampling.BOX) for picture in (one, other)]
    return max(ImageStat.Stat(ImageChops.difference(*small)).mean)


@needs_corpus
@pytest.mark.parametrize(
    "path", [path for path in photographs() if path.name not in NOT_PILLOWS], ids=lambda path: path.name
)
def test_a_photograph_is_upright_in_its_own_colours_and_has_no_metadata(tmp_path: Path, path: Path) -> None:
    (derivative,) = render_into(tmp_path, path, Size(name="small", width=300, format="jpeg", quality=90)).derivatives
    picture, twin = seen(derivative.path), reference(path)
    turned = {
        apply_orientation: twin if apply_orientation is None else twin.transpose(apply_orientation)
        for apply_orientation in ROTATIONS
    }
    distance = {
        apply_orientation: (shape(picture) ^ shape(other)).bit_count() for apply_orientation, other in turned.items()
    }
    assert distance[None] == min(distance.values())
    assert path.name in NO_PROFILE or furthest(picture, twin) < TOLERANCE
    content = (tmp_path / derivative.path).read_bytes()
    assert not [mark for mark in MARKS if mark in content]
    summary = derivative.summary
    assert summary
    assert summary.preview
    assert is_preview(summary.preview)
    assert (summary.width / summary.height > 1) == (derivative.width / derivative.height > 1)
    assert summary_of(metadata_of(summary)) == summary
    assert sum(len(name) + len(value) for name, value in escaped(metadata_of(summary)).items()) <= METADATA_BYTES


@needs_corpus
@pytest.mark.parametrize(
    "path", [path for path in photographs() if path.name in NOT_PILLOWS], ids=lambda path: path.name
)
def test_the_summary_of_any_other_photograph_fits_into_the_metadata(tmp_path: Path, path: Path) -> None:
    (derivative,) = render_into(tmp_path, path, Size(name="small", width=300)).derivatives
    assert derivative.summary
    assert derivative.summary.preview
    assert (
        sum(len(name) + len(value) for name, value in escaped(metadata_of(derivative.summary)).items())
        <= METADATA_BYTES
    )
