"""HEIC and AVIF: upright, in their own colours, and refused if any part is missing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import PIL.Image
import pytest
from PIL import ExifTags

from loadtest.paint import CORNERS
from pipeline.decode import hevc
from pipeline.errors import Corrupt, Refused, Unreadable, UnsupportedFormat
from pipeline.size import Size
from tests.pipeline.formats.heifs import (
    ALPHA,
    Codec,
    Part,
    box,
    coded,
    compose,
    crop,
    full_box,
    grid,
    mirror,
    size,
    tiled,
    turn,
    write,
)
from tests.pipeline.render.test_render import assert_painted, corners
from tests.pipeline.rendering import render_into, seen
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CODECS: tuple[Codec, ...] = ("heic", "avif")
SIDE = 128
PLACES = count(150, otherwise=40)
"""How many places are cut or damaged."""

_VISIBLE = 20
WIDE = Size(name="wide", width=2000, format="png")

TURNED = {
    1: (),
    2: (mirror(is_left_to_right=True),),
    3: (turn(2),),
    4: (mirror(is_left_to_right=False),),
    5: (turn(1), mirror(is_left_to_right=False)),
    6: (turn(3),),
    7: (turn(1), mirror(is_left_to_right=True)),
    8: (turn(1),),
}
"""The properties that turn an image as EXIF's orientation does."""

_TRANSPOSE = PIL.Image.Transpose
LAID_DOWN = {
    2: _TRANSPOSE.FLIP_LEFT_RIGHT, 3: _TRANSPOSE.ROTATE_180, 4: _TRANSPOSE.FLIP_TOP_BOTTOM, 5: _TRANSPOSE.TRANSPOSE,
    6: _TRANSPOSE.ROTATE_90, 7: _TRANSPOSE.TRANSVERSE, 8: _TRANSPOSE.ROTATE_270,
}  # fmt: skip


def painted(width: int = 500, height: int = 300, mode: str = "RGB") -> PIL.Image.Image:
    picture = PIL.Image.new("RGB", (width, height))
    for index, colour in enumerate(CORNERS):
        half = (width // 2 * (index % 2), height // 2 * (index // 2))
        picture.paste(colour, (*half, width, height if index > 1 else height // 2))
    return picture.convert(mode)


def with_properties(parts: Sequence[Part], *properties: bytes) -> list[Part]:
    first = parts[0]
    own = (*first.properties, *properties)
    return [Part(kind=first.kind, data=first.data, properties=own, references=first.references), *parts[1:]]


def alpha_of(part: Part, *properties: bytes, main: int = 0) -> Part:
    own = (*part.properties, full_box(b"auxC", ALPHA), *properties)
    return Part(kind=part.kind, data=part.data, properties=own, references={b"auxl": [main]})


@pytest.mark.parametrize("codec", CODECS)
def test_tiles_become_one_picture_in_jpeg(tmp_path: Path, codec: Codec) -> None:
    original = write(tmp_path / "original", tiled(painted(), SIDE, codec), codec)
    derived = render_into(tmp_path / "out", original)
    assert (derived.info.format, derived.info.width, derived.info.height) == (codec, 500, 300)
    for derivative in derived.derivatives:
        assert derivative.content_type == "image/jpeg"
        assert_painted(derivative.path)


@pytest.mark.parametrize("codec", CODECS)
def test_tiles_have_the_pixels_of_the_whole(tmp_path: Path, codec: Codec) -> None:
    ramp = PIL.Image.linear_gradient("L").resize((500, 300))
    picture = PIL.Image.merge("RGB", (ramp, ramp.transpose(_TRANSPOSE.ROTATE_180), painted(mode="L")))
    whole = write(tmp_path / "whole", [coded(picture, codec)], codec)
    parts = write(tmp_path / "parts", tiled(picture, SIDE, codec), codec)
    shown = [seen(render_into(tmp_path / f"of-{path.name}", path, WIDE).derivatives[0].path) for path in (whole, parts)]
    for place in [(x, y) for x in range(0, 500, 7) for y in range(0, 300, 7)]:
        assert shown[0].getpixel(place) == pytest.approx(shown[1].getpixel(place), abs=12)
        assert shown[1].getpixel(place) == pytest.approx(picture.getpixel(place), abs=12)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("is_tiled", [False, True])
def test_turns_and_mirrors_are_applied(tmp_path: Path, codec: Codec, orientation: int, *, is_tiled: bool) -> None:
    picture = painted()
    lain = picture.transpose(LAID_DOWN[orientation]) if orientation > 1 else picture
    parts = tiled(lain, SIDE, codec) if is_tiled else [coded(lain, codec)]
    original = write(tmp_path / "original", with_properties(parts, *TURNED[orientation]), codec)
    derived = render_into(tmp_path / "out", original)
    assert (derived.info.width, derived.info.height) == (500, 300)
    for derivative in derived.derivatives:
        assert_painted(derivative.path)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("is_tiled", [False, True])
def test_the_orientation_of_exif_does_not_count_but_its_names_do(
    tmp_path: Path, codec: Codec, *, is_tiled: bool
) -> None:
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "A. Painter"
    main = tiled(painted(), SIDE, codec) if is_tiled else [coded(painted(), codec)]
    block = Part(kind=b"Exif", data=bytes(4) + exif.tobytes().removeprefix(b"Exif\0\0"), references={b"cdsc": [0]})
    original = write(tmp_path / "original", [*main, block], codec)
    owned = Size(name="owned", width=400, keep_copyright=True)
    (derivative,) = render_into(tmp_path / "out", original, owned).derivatives
    assert_painted(derivative.path)
    assert dict(seen(derivative.path).getexif()) == {ExifTags.Base.Artist: "A. Painter"}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("own", [(), (turn(1),)])
@pytest.mark.parametrize("is_tiled", [False, True])
def test_alpha_turns_with_its_colours(tmp_path: Path, codec: Codec, own: tuple[bytes, ...], *, is_tiled: bool) -> None:
    """The alpha is opaque at the left half, and turned with the colours, whether it says so itself or not."""
    alpha = PIL.Image.new("L", (500, 300))
    alpha.paste(255, (0, 0, 250, 300))
    if is_tiled:
        colours = tiled(painted(), SIDE, codec)
        more = tiled(alpha, SIDE, codec)
        parts = with_properties(colours, turn(1))
        plane = grid(more[1:], 4, (500, 300), first=len(parts) + 1)[0]
        references = {**plane.references, b"auxl": [0]}
        properties = (*plane.properties, full_box(b"auxC", ALPHA), *own)
        parts += [Part(kind=plane.kind, data=plane.data, properties=properties, references=references), *more[1:]]
    else:
        parts = [*with_properties([coded(painted(), codec)], turn(1)), alpha_of(coded(alpha, codec), *own)]
    derived = render_into(tmp_path / "out", write(tmp_path / "original", parts, codec), WIDE)
    shown = seen(derived.derivatives[0].path)
    assert (derived.info.has_alpha, shown.mode, shown.size) == (True, "RGBA", (300, 500))
    # A quarter against the clock: the left is at the bottom.
    assert shown.getpixel((20, 480))[3] > 250  # type: ignore[index]
    assert shown.getpixel((280, 480))[3] > 250  # type: ignore[index]
    assert shown.getpixel((20, 20))[3] < 5  # type: ignore[index]


@pytest.mark.parametrize("codec", CODECS)
def test_alphas_of_tiles_are_used(tmp_path: Path, codec: Codec) -> None:
    colours = tiled(painted(), SIDE, codec)
    alphas = tiled(PIL.Image.new("L", (500, 300), 128), SIDE, codec)[1:]
    parts = [*colours, *(alpha_of(alpha, main=number) for number, alpha in enumerate(alphas, start=1))]
    derived = render_into(tmp_path / "out", write(tmp_path / "original", parts, codec), WIDE)
    assert seen(derived.derivatives[0].path).getpixel((250, 20))[3] == pytest.approx(128, abs=3)  # type: ignore[index]
    with pytest.raises(Corrupt, match="no alpha"):
        render_into(tmp_path / "out", write(tmp_path / "original", parts[:-1], codec), WIDE)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("is_tiled", [False, True])
def test_a_crop_is_applied_before_the_turn(tmp_path: Path, codec: Codec, *, is_tiled: bool) -> None:
    picture = PIL.Image.new("RGB", (540, 320), "white")
    picture.paste(painted(), (30, 15))
    cut = crop(500, 300, (20, 2), (5, 1))
    parts = tiled(picture, SIDE, codec) if is_tiled else [coded(picture, codec)]
    original = write(tmp_path / "original", with_properties(parts, cut, turn(2)), codec)
    derived = render_into(tmp_path / "out", original, WIDE)
    assert (derived.info.width, derived.info.height) == (500, 300)
    assert corners(derived.derivatives[0].path)[0] == pytest.approx(CORNERS[3], abs=12)


@pytest.mark.parametrize(("codec", "options"), [("heic", {}), ("avif", {"range": "limited"}), ("avif", {})])
@pytest.mark.parametrize("is_tiled", [False, True])
def test_grey_has_its_whole_range(tmp_path: Path, codec: Codec, options: dict[str, str], *, is_tiled: bool) -> None:
    picture = PIL.Image.new("L", (256, 128))
    for step in range(4):
        picture.paste(step * 85, (64 * step, 0, 64 * step + 64, 128))
    parts = tiled(picture, 128, codec, **options) if is_tiled else [coded(picture, codec, **options)]
    derived = render_into(tmp_path / "out", write(tmp_path / "original", parts, codec), WIDE)
    shown = seen(derived.derivatives[0].path).convert("L")
    assert [shown.getpixel((64 * step + 32, 64)) for step in range(4)] == pytest.approx([0, 85, 170, 255], abs=4)


@pytest.mark.parametrize("chroma", [420, 422, 444])
def test_each_resolution_of_colours_is_decoded(tmp_path: Path, chroma: int) -> None:
    original = write(tmp_path / "original", [coded(painted(), "heic", chroma=chroma)], "heic")
    derived = render_into(tmp_path / "out", original, WIDE)
    assert (derived.info.width, derived.info.height) == (500, 300)
    assert_painted(derived.derivatives[0].path)


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path, codec: Codec) -> None:
    content = compose(tiled(painted(), SIDE, codec), codec)
    original = tmp_path / "original"
    for length in range(16, len(content), max(1, len(content) // PLACES)):
        original.write_bytes(content[:length])
        with pytest.raises(Refused):
            render_into(tmp_path / "out", original, WIDE)


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_that_is_damaged_anywhere_is_refused_or_has_all_tiles(tmp_path: Path, codec: Codec) -> None:
    content = compose(tiled(painted(), SIDE, codec), codec)
    original = tmp_path / "original"
    dice = random.Random(codec)  # noqa: S311 - reproducible mutants, not cryptography
    refused = wrong = 0
    for place in range(16, len(content), max(1, len(content) // PLACES)):
        mutant = bytearray(content)
        mutant[place : place + 24] = dice.randbytes(len(mutant[place : place + 24]))
        original.write_bytes(mutant)
        try:
            derived = render_into(tmp_path / "out", original, WIDE)
        except Refused:
            refused += 1
            continue
        assert (derived.info.width, derived.info.height) == (500, 300)
        shown = zip(corners(derived.derivatives[0].path), CORNERS, strict=True)
        wrong += any(max(abs(a - b) for a, b in zip(*pair, strict=True)) > _VISIBLE for pair in shown)
    # Random bytes can be another valid picture, but hardly ever.
    assert wrong <= 2
    assert refused > 0.6 * PLACES


@pytest.mark.parametrize("codec", CODECS)
def test_a_tile_that_is_empty_is_refused(tmp_path: Path, codec: Codec) -> None:
    parts = tiled(painted(), SIDE, codec)
    for data in (bytes(len(parts[5].data)), parts[5].data[:40], b""):
        lost = Part(kind=parts[5].kind, data=data, properties=parts[5].properties)
        original = write(tmp_path / "original", [*parts[:5], lost, *parts[6:]], codec)
        with pytest.raises(Unreadable):
            render_into(tmp_path / "out", original, WIDE)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (box(b"lhvC", b"\0"), None),
        (crop(501, 300, (0, 1), (0, 1)), Corrupt),
        (crop(500, 300, (0, 0), (0, 1)), Corrupt),
        (size(501, 300), None),
    ],
)
def test_a_property_that_is_wrong_or_unknown_is_ignored_or_refused(
    tmp_path: Path, wrong: bytes, error: type[Refused] | None
) -> None:
    original = write(tmp_path / "original", with_properties(tiled(painted(), SIDE, "heic"), wrong), "heic")
    if error:
        with pytest.raises(error):
            render_into(tmp_path / "out", original, WIDE)
    else:
        assert_painted(render_into(tmp_path / "out", original, WIDE).derivatives[0].path)


def test_tiles_that_do_not_cover_the_image_are_refused(tmp_path: Path) -> None:
    parts = tiled(painted(), SIDE, "heic")
    for sides in ((513, 300), (384, 300), (500, 400)):
        original = write(tmp_path / "original", grid(parts[1:], 4, sides), "heic")
        with pytest.raises(Corrupt, match="cover"):
            render_into(tmp_path / "out", original, WIDE)


def test_without_pi_heif_the_refusal_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = write(tmp_path / "original", [coded(painted(), "heic")], "heic")
    hevc._library.cache_clear()  # noqa: SLF001 - as in a new process
    monkeypatch.setattr(hevc, "_MODULE", "_no_such_module")
    try:
        with pytest.raises(UnsupportedFormat, match="pi-heif is not installed"):
            render_into(tmp_path / "out", original)
    finally:
        hevc._library.cache_clear()  # noqa: SLF001 - as above
