"""An ICC profile counts only if it describes the image that it is in, and is written only if encoders take it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Literal

import pytest
import pyvips

from loadtest.paint import Photograph, pixels
from pipeline.size import Size
from tests.pipeline.image.test_colour import labelled, profiled
from tests.pipeline.render.test_render import assert_painted, colour_at
from tests.pipeline.rendering import render_into, seen

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.size import OutputFormat

SMALL = Photograph(width=300, height=200)
COLOUR_BANDS = 3
FORMATS: tuple[OutputFormat, ...] = ("jpeg", "png", "webp", "avif")


def with_header(profile: bytes, start: int, value: bytes) -> bytes:
    return profile[:start] + value + profile[start + len(value) :]


@pytest.mark.parametrize("header", [(16, b"Lab "), (16, b"XYZ "), (16, b"GRAY"), (16, b"CMYK"), (12, b"link")])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("gamut", ["srgb", "keep"])
def test_colours_with_a_profile_for_other_colours_are_srgb(
    tmp_path: Path, header: tuple[int, bytes], suffix: str, gamut: Literal["srgb", "keep"]
) -> None:
    original = tmp_path / f"original{suffix}"
    options = {".tif": {}, ".png": {}}.get(suffix, {"Q": 95})
    plain = pixels(SMALL).copy(interpretation="srgb")
    labelled(plain, with_header(profiled(1.0), *header)).write_to_file(str(original), **options)
    for derivative in render_into(
        tmp_path / "out", original, *(Size(name=name, width=150, format=name, gamut=gamut) for name in FORMATS)
    ).derivatives:
        assert_painted(derivative.path, tolerance=12)
        assert "icc_profile" not in seen(derivative.path).info


def test_inks_with_a_profile_for_screens_are_inks(tmp_path: Path) -> None:
    inks = pixels(SMALL).copy(interpretation="srgb").icc_transform("cmyk", input_profile="srgb")
    shown = []
    whole = bytes(inks.get("icc-profile-data"))
    table = whole.index(b"A2B0") + 4
    for name, profile in (
        ("unlinked", with_header(whole, table, b"\0\0\0\0")),
        ("own", None),
        ("foreign", profiled(1.0)),
        ("broken", with_header(bytes(300), 12, b"prtrCMYK")),
    ):
        original = tmp_path / f"{name}.jpg"
        picture = inks.copy()
        picture.remove("icc-profile-data")
        (labelled(picture, profile) if profile else picture).jpegsave(str(original), Q=95)
        (derivative,) = render_into(tmp_path / name, original, Size(name="a", width=150, format="png")).derivatives
        shown.append(seen(derivative.path).tobytes())
    assert len(set(shown)) == 1


@pytest.mark.parametrize("profile", [profiled(1.0)[:4], bytes(128), bytes(500), b"\xff" * 500])
@pytest.mark.parametrize("bands", [1, 3])
def test_what_is_no_profile_is_ignored(tmp_path: Path, profile: bytes, bands: int) -> None:
    original = tmp_path / "original.jpg"
    grey = pyvips.Image.black(60, 40) + 128
    picture = grey.cast("uchar").copy(interpretation="b-w")
    if bands == COLOUR_BANDS:
        picture = picture.bandjoin([picture, picture]).copy(interpretation="srgb")
    labelled(picture, profile).jpegsave(str(original), Q=95)
    for derivative in render_into(
        tmp_path / "out", original, *(Size(name=name, width=30, format=name, gamut="keep") for name in FORMATS)
    ).derivatives:
        assert colour_at(seen(derivative.path).convert("RGB"), 15, 10) == pytest.approx((128, 128, 128), abs=2)


@pytest.mark.parametrize(
    "damage",
    [
        (0, b"\0\0\xff\xff"),
        (8, b"\4\x40"),
        (20, b"Luv "),
        (64, b"\xff\xff\xff\xff"),
        (140, b"\x7f\xff\xff\xff"),
    ],
    ids=["too long", "unaligned", "connection space", "intent", "tag"],
)
def test_a_wide_profile_that_png_refuses_is_not_kept(tmp_path: Path, damage: tuple[int, bytes]) -> None:
    """Its colours are converted, if they can be, or else are sRGB; in every format of derivatives alike."""
    original = tmp_path / "original.jpg"
    whole = profiled(1.0) + b"\0\0"
    profile = with_header(with_header(whole, 0, len(whole).to_bytes(4, "big")), *damage)
    labelled(pixels(SMALL).copy(interpretation="srgb"), profile).jpegsave(str(original), Q=95)
    kept = render_into(
        tmp_path / "kept", original, *(Size(name=name, width=150, format=name, gamut="keep") for name in FORMATS)
    ).derivatives
    (shown,) = render_into(tmp_path / "out", original, Size(name="png", width=150, format="png")).derivatives
    assert all("icc_profile" not in seen(derivative.path).info for derivative in kept)
    assert seen(kept[1].path).tobytes() == seen(shown.path).tobytes()


@pytest.mark.parametrize("behind", [b"\0", bytes(2), bytes(77)])
def test_bytes_behind_a_profile_are_not_kept_with_it(tmp_path: Path, behind: bytes) -> None:
    original = tmp_path / "original.jpg"
    profile = profiled(1.0)
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    labelled(pixels(SMALL).copy(interpretation="srgb"), profile + behind).jpegsave(str(original), Q=95)
    for derivative in render_into(
        tmp_path / "out", original, *(Size(name=name, width=150, format=name, gamut="keep") for name in FORMATS)
    ).derivatives:
        assert seen(derivative.path).info["icc_profile"] == profile


@pytest.mark.parametrize("keyword", [b"Aut\xefr", b"\xff\xfe", b"Titel\x80"])
@pytest.mark.parametrize("chunk", [b"tEXt", b"zTXt", b"iTXt"])
def test_texts_of_a_png_may_be_in_any_encoding(tmp_path: Path, keyword: bytes, chunk: bytes) -> None:
    original = tmp_path / "original.png"
    pixels(SMALL).write_to_file(str(original))
    text = {b"tEXt": b"\0na\xefve", b"zTXt": b"\0\0" + zlib.compress(b"na\xefve"), b"iTXt": b"\0\0\0\0\0na\xefve"}[
        chunk
    ]
    insert_chunk(original, chunk, keyword + text)
    for derivative in render_into(
        tmp_path / "out", original, *(Size(name=name, width=150, format=name, keep_copyright=True) for name in FORMATS)
    ).derivatives:
        assert_painted(derivative.path, tolerance=12)


def insert_chunk(path: Path, kind: bytes, content: bytes) -> None:
    """Insert a chunk behind a PNG's header."""
    whole = path.read_bytes()
    chunk = len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
    path.write_bytes(whole[:33] + chunk + whole[33:])
