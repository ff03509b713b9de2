"""The colours of rare files are right, or the file is refused."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import PIL.Image
import pytest
import pyvips

from pipeline.errors import Corrupt, NotAnImage, UnsupportedFormat
from pipeline.protocol import Limits
from pipeline.size import Size
from tests.pipeline.decode.test_declared import tiff
from tests.pipeline.render.test_render import colour_at
from tests.pipeline.rendering import probe, render_into, seen

if TYPE_CHECKING:
    from pathlib import Path

PNG_SIZES = (Size(name="whole", width=40, format="png"), Size(name="small", width=20, format="png"))
RED, GREEN, GREY = (200, 40, 90), (20, 180, 60), (128, 128, 128)


def halves() -> PIL.Image.Image:
    picture = PIL.Image.new("RGB", (40, 20), RED)
    picture.paste(GREEN, (20, 0, 40, 20))
    return picture


def assert_halves(tmp_path: Path, original: Path) -> None:
    for derivative in render_into(tmp_path / "out", original, *PNG_SIZES).derivatives:
        picture = seen(derivative.path).convert("RGB")
        assert colour_at(picture, 3, 3) == pytest.approx(RED, abs=4)
        assert colour_at(picture, derivative.width - 3, 3) == pytest.approx(GREEN, abs=4)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_ycbcr_that_decoders_do_not_convert_is_converted(tmp_path: Path, compression: str | None) -> None:
    original = tmp_path / "original.tif"
    halves().convert("YCbCr").save(original, compression=compression)
    assert_halves(tmp_path, original)


def test_ycbcr_of_jpeg_in_tiff_is_converted_once(tmp_path: Path) -> None:
    original = tmp_path / "original.tif"
    halves().save(tmp_path / "halves.png")
    pyvips.Image.new_from_file(str(tmp_path / "halves.png")).tiffsave(str(original), compression="jpeg", Q=95)
    assert_halves(tmp_path, original)


@pytest.mark.parametrize("alphas", [(2,), (0,), (2, 0), (0, 0)])
def test_a_palette_beside_extra_samples_is_applied(tmp_path: Path, alphas: tuple[int, ...]) -> None:
    """Only a first extra sample that is declared as alpha is opacity."""
    original = tmp_path / "original.tif"
    levels = [[0] * 256 for _ in range(3)]
    for index, colour in ((1, RED), (2, GREEN)):
        for level, value in zip(levels, colour, strict=True):
            level[index] = value * 257
    row = b"".join(bytes((1 if x < 20 else 2, *[128] * len(alphas))) for x in range(40))
    samples = 1 + len(alphas)
    shorts = {
        258: (8,) * samples, 262: (3,), 277: (samples,), 338: alphas, 320: (*levels[0], *levels[1], *levels[2]),
    }  # fmt: skip
    entries = {tag: (3, struct.pack(f"<{len(values)}H", *values)) for tag, values in shorts.items()}
    sides = {256: 40, 257: 20, 278: 20, 279: len(row) * 20}
    entries |= {tag: (4, struct.pack("<I", value)) for tag, value in sides.items()}
    head = tiff(entries)
    entries[273] = (4, struct.pack("<I", len(head)))
    original.write_bytes(tiff(entries) + row * 20)
    assert_halves(tmp_path, original)
    (whole, _) = render_into(tmp_path / "out", original, *PNG_SIZES).derivatives
    assert (seen(whole.path).mode == "RGBA") == (alphas[0] == 2)
    if alphas[0] == 2:
        assert colour_at(seen(whole.path), 3, 3)[3] == 128


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_samples_of_no_whole_bytes_are_unsupported_not_damaged(tmp_path: Path, bits: int) -> None:
    original = tmp_path / "original.tif"
    original.write_bytes(tiff({258: (3, struct.pack("<H", bits)), 279: (4, struct.pack("<I", 200))}) + bytes(400))
    with pytest.raises(UnsupportedFormat):
        render_into(tmp_path / "out", original)


def test_old_jpeg_in_tiff_is_unsupported(tmp_path: Path) -> None:
    original = tmp_path / "original.tif"
    original.write_bytes(tiff({259: (3, struct.pack("<H", 6))}))
    with pytest.raises(UnsupportedFormat):
        render_into(tmp_path / "out", original)


def gif(frames: list[tuple[tuple[int, int, int, int], int, int | None, int]]) -> bytes:
    """Return a GIF of 40 x 20 pixels; a frame has its area, its colour, its transparent colour and its disposal."""
    content = b"GIF89a" + struct.pack("<HHBBB", 40, 20, 0x81, 0, 0) + bytes((*GREY, *RED, *GREEN, 0, 0, 0))
    for (left, top, width, height), colour, transparent, disposal in frames:
        flags = disposal << 2 | (transparent is not None)
        content += b"!\xf9\x04" + struct.pack("<BHB", flags, 10, transparent or 0) + b"\0"
        codes = [code for _ in range(width * height) for code in (4, colour)]  # a clear code before each pixel
        bits = sum(code << 3 * place for place, code in enumerate([*codes, 5]))
        packed = bits.to_bytes((3 * (len(codes) + 1) + 7) // 8, "little")
        blocks = b"".join(
            bytes((len(packed[start : start + 255]),)) + packed[start : start + 255]
            for start in range(0, len(packed), 255)
        )
        content += b"," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\2" + blocks + b"\0"
    return content + b";"


def test_what_the_first_frame_of_a_gif_leaves_free_is_transparent(tmp_path: Path) -> None:
    original = tmp_path / "original.gif"
    original.write_bytes(gif([((10, 5, 20, 10), 1, None, 0)]))
    derived = render_into(tmp_path / "out", original, Size(name="own", width=40), *PNG_SIZES)
    assert derived.info.has_alpha
    assert derived.derivatives[0].content_type == "image/png"
    for derivative in derived.derivatives:
        picture = seen(derivative.path)
        assert colour_at(picture, 0, 0)[3] == 0
        assert colour_at(picture, derivative.width // 2, derivative.height // 2) == pytest.approx((*RED, 255), abs=8)


@pytest.mark.parametrize("transparent", [None, 3])
@pytest.mark.parametrize("area", [(0, 0, 40, 20), (10, 5, 20, 10)])
def test_frames_of_a_gif_are_transparent_where_none_has_painted(
    tmp_path: Path, area: tuple[int, int, int, int], transparent: int | None
) -> None:
    original = tmp_path / "original.gif"
    original.write_bytes(gif([(area, 1, transparent, 1), ((30, 10, 10, 10), 2, transparent, 1)]))
    (derivative,) = render_into(tmp_path / "out", original, Size(name="a", width=40, animate=True)).derivatives
    is_whole = area[0] == 0
    with PIL.Image.open(derivative.path) as moving:
        for frame, places in enumerate([{(20, 10): RED}, {(20, 10): RED, (35, 15): GREEN}]):
            moving.seek(frame)
            picture = moving.convert("RGBA")
            for place, colour in places.items():
                assert colour_at(picture, *place) == pytest.approx((*colour, 255), abs=12)
            assert (colour_at(picture, 1, 1)[3] == 255) is is_whole


@pytest.mark.parametrize("sides", [(12_032, 9024), (11_648, 8736)])
def test_todays_largest_cameras_are_within_the_limit(tmp_path: Path, sides: tuple[int, int]) -> None:
    original = tmp_path / "original.jpg"
    halves().save(original)
    content = bytearray(original.read_bytes())
    frame = content.index(b"\xff\xc0") + 5
    content[frame : frame + 4] = struct.pack(">HH", sides[1], sides[0])
    original.write_bytes(content)
    info = probe(original, limits=Limits())
    assert (info.width, info.height) == sides


@pytest.mark.parametrize(("suffix", "highest"), [("jpeg", 30_000), ("png", 30_000), ("webp", 16_383), ("avif", 16_384)])
def test_only_the_format_of_a_derivative_bounds_its_height(tmp_path: Path, suffix: str, highest: int) -> None:
    original = tmp_path / "original.png"
    pyvips.Image.black(30, 30_000, bands=3).copy(interpretation="srgb").pngsave(str(original))
    sizes = [Size(name="a", width=20, format=suffix), Size(name="b", width=30, format=suffix)]  # type: ignore[arg-type]
    narrow, whole = render_into(tmp_path / "out", original, *sizes).derivatives
    assert (narrow.width, narrow.height) == (min(20, round(highest / 1000)), min(20_000, highest))
    assert (whole.width, whole.height) == (round(highest / 1000), highest)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    original.touch()
    with pytest.raises(NotAnImage, match="empty"):
        render_into(tmp_path / "out", original)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits", "jpeg", "ccittfax4"])
@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("tile", [False, True])
def test_a_strip_that_is_short_is_not_made_up(tmp_path: Path, compression: str, which: int, *, tile: bool) -> None:
    original = tmp_path / "original.tif"
    noise = pyvips.Image.gaussnoise(300, 200, mean=128, sigma=60).cast("uchar").copy(interpretation="b-w")
    depth = {"bitdepth": 1} if compression == "ccittfax4" else {}
    noise.tiffsave(str(original), compression=compression, tile=tile, tile_width=64, tile_height=64, **depth)
    content = bytearray(original.read_bytes())
    start = int.from_bytes(content[4:8], "little")
    for entry in range(int.from_bytes(content[start : start + 2], "little")):
        tag, kind, count, value = struct.unpack_from("<HHII", content, start + 2 + 12 * entry)
        if tag in (279, 325):
            shape = {3: "<H", 4: "<I"}[kind]
            place = value + struct.calcsize(shape) * (which % count)
            (length,) = struct.unpack_from(shape, content, place)
            struct.pack_into(shape, content, place, length // 2)
    original.write_bytes(content)
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", original, *PNG_SIZES)


def test_painted_corners_survive_every_rare_tiff(tmp_path: Path) -> None:
    original = tmp_path / "original.tif"
    halves().save(tmp_path / "halves.png")
    for options in ({"bigtiff": True}, {"tile": True}, {"pyramid": True, "tile": True}, {"predictor": "horizontal"}):
        pyvips.Image.new_from_file(str(tmp_path / "halves.png")).tiffsave(str(original), compression="lzw", **options)
        assert_halves(tmp_path, original)
