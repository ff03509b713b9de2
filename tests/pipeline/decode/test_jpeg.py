"""A JPEG without a pixel lost is rendered, whatever its decoder warns of; one with pixels lost is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import PIL.Image
import pytest
import pyvips

from pipeline.errors import Corrupt
from pipeline.size import Size
from tests.pipeline.decode.test_original import EOI, photograph
from tests.pipeline.render.test_render import assert_painted
from tests.pipeline.rendering import render_into, seen

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (Size(name="large", width=800, format="png"), Size(name="small", width=100, format="png"))
ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"


def jfif(version: bytes) -> bytes:
    return b"\xff\xe0\0\x10JFIF\0" + version + b"\0\0\1\0\1\0\0"


def pixels(tmp_path: Path, original: Path) -> list[bytes]:
    return [seen(derivative.path).tobytes() for derivative in render_into(tmp_path, original, *SIZES).derivatives]


@pytest.mark.parametrize("version", [b"\0\2", b"\2\1", b"\xff\xff"])
@pytest.mark.parametrize("interlace", [False, True])
def test_the_version_of_jfif_does_not_matter(tmp_path: Path, version: bytes, *, interlace: bool) -> None:
    original = photograph(tmp_path, interlace=interlace)
    content = original.read_bytes()
    original.write_bytes(content[:2] + jfif(version) + content[2:])
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert_painted(derivative.path, tolerance=30)


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize("ending", [b"", b"\xff", b"\xff\0"])
def test_the_end_marker_may_be_missing(tmp_path: Path, ending: bytes, *, interlace: bool) -> None:
    original = photograph(tmp_path, interlace=interlace)
    whole = pixels(tmp_path / "whole", original)
    original.write_bytes(original.read_bytes().removesuffix(EOI) + ending)
    assert pixels(tmp_path / "out", original) == whole


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize("closed", [b"", EOI])
def test_of_the_last_bytes_none_is_lost_silently(tmp_path: Path, closed: bytes, *, interlace: bool) -> None:
    """It is refused, or every pixel is there: the last byte may be padding."""
    original = photograph(tmp_path, interlace=interlace)
    whole, content = pixels(tmp_path / "whole", original), original.read_bytes().removesuffix(EOI)
    refused = 0
    for lost in (*range(1, 8), 30, 200):
        original.write_bytes(content[:-lost] + closed)
        try:
            assert pixels(tmp_path / "out", original) == whole
        except Corrupt:
            refused += 1
    assert refused >= 6


@pytest.mark.parametrize("height", [8, 120])
@pytest.mark.parametrize("options", [{}, {"restart_interval": 2}, {"subsample_mode": "off"}, {"interlace": True}])
def test_part_of_the_last_row_of_blocks_is_not_lost_silently(
    tmp_path: Path, height: int, options: dict[str, int]
) -> None:
    original = tmp_path / "original.jpg"
    noise = PIL.Image.effect_noise((160, height), 60)
    noise.save(tmp_path / "noise.png")
    pyvips.Image.new_from_file(str(tmp_path / "noise.png")).jpegsave(str(original), Q=90, **options)
    content = original.read_bytes().removesuffix(EOI)
    for twentieths in range(1, 5):
        original.write_bytes(content[: len(content) - len(content) * twentieths // 20 * 8 // height] + EOI)
        with pytest.raises(Corrupt):
            render_into(tmp_path / "out", original)


@pytest.mark.parametrize(("mode", "sound"), [("RGB", 1), ("CMYK", 2)])
@pytest.mark.parametrize("declared", [1, 2, 5, 255])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_transform_of_adobes_that_contradicts_the_components_is_ignored(
    tmp_path: Path, mode: str, sound: int, declared: int, *, progressive: bool
) -> None:
    """Browsers assume YCbCr for three components, and YCCK for four."""
    original, colour = tmp_path / "original.jpg", {"RGB": (200, 40, 90), "CMYK": (10, 200, 90, 0)}[mode]
    PIL.Image.new(mode, (64, 48), colour).save(original, quality=95, progressive=progressive)
    content = original.read_bytes()
    if (adobe := content.find(b"\xff\xee")) >= 0:
        content = content[:adobe] + content[adobe + 16 :]
    made = []
    for transform in (sound, declared):
        original.write_bytes(content[:2] + ADOBE + bytes((transform,)) + content[2:])
        made.append(pixels(tmp_path / "out", original))
    assert made[0] == made[1]


def test_defects_of_every_kind_at_once_hide_no_loss(tmp_path: Path) -> None:
    original = photograph(tmp_path)
    content = original.read_bytes()
    content = content[:2] + jfif(b"\x09\0") + ADOBE + b"\x05" + content[2:]
    original.write_bytes(content.removesuffix(EOI))
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert_painted(derivative.path, tolerance=30)
    original.write_bytes(content[:-40])
    with pytest.raises(Corrupt) as refused:
        render_into(tmp_path / "out", original)
    assert "premature end of data segment" in refused.value.cause
    assert "premature" not in str(refused.value)
