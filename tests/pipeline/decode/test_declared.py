"""What a file declares is counted before a decoder opens it, and no part of it makes probing grow."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import PIL.Image
import pytest
import pyvips

from loadtest.paint import Photograph, paint, pixels
from pipeline.errors import Corrupt, NeedsTooMuchMemory, TooManyFrames
from pipeline.formats.gif import Frame
from pipeline.image import canvas
from pipeline.protocol import Limits, Probed
from pipeline.size import Size
from proxy.rendering.pool import PROBE_BYTES
from tests.pipeline.image.test_profiles import insert_chunk
from tests.pipeline.render.test_render import assert_painted
from tests.pipeline.rendering import SITE, RenderProcess, probe, render_into, seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL = Photograph(width=300, height=200)
PNG_SIZE = Size(name="a", width=300, format="png")
BLOCK = b"," + struct.pack("<HHHHB", 0, 0, 10, 10, 0) + b"\2\2\x4c\1\0"
SCREEN = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"


def gif(frames: int, *, comments: int = 0) -> bytes:
    return SCREEN + b"!\xfe\1x\0" * comments + BLOCK * frames + b";"


def tiff(entries: dict[int, tuple[int, bytes]], next_directory: int = 0) -> bytes:
    """Return a grey TIFF of 10 x 10 pixels with these fields in addition: tag -> (type, content)."""
    width = {1: 1, 3: 2, 4: 4, 7: 1}
    plain = {256: 10, 257: 10, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 10, 279: 100}
    fields = {tag: (4, struct.pack("<I", value)) for tag, value in plain.items()} | entries
    table, place, body = b"", 8 + 2 + 12 * len(fields) + 4, b""
    for tag, (kind, content) in sorted(fields.items()):
        is_long = len(content) > 4
        value = struct.pack("<I", place + len(body)) if is_long else content.ljust(4, b"\0")
        table += struct.pack("<HHI", tag, kind, len(content) // width[kind]) + value
        body += content if is_long else b""
    head = b"II*\0" + struct.pack("<IH", 8, len(fields)) + table + struct.pack("<I", next_directory)
    return head + body + bytes(max(0, 200 - len(head + body)))


def jpeg_with(marker: int, content: bytes, times: int) -> bytes:
    picture: bytes = pyvips.Image.black(16, 16, bands=3).copy(interpretation="srgb").jpegsave_buffer()
    return picture[:2] + times * (bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content) + picture[2:]


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0))
    behind = chunk(b"IDAT", zlib.compress(bytes(310))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*one) for one in chunks) + behind


LARGE = 20_000_000
PROFILE = (bytes(36) + b"acsp").ljust(LARGE, b"\0")


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".gif", lambda: gif(2_000_000)),
        (".gif", lambda: gif(1, comments=3_000_000)),
        (".tif", lambda: tiff({65_000: (7, bytes(LARGE))})),
        (".tif", lambda: tiff({700: (1, bytes(LARGE))})),
        (".tif", lambda: tiff({34_675: (7, bytes(LARGE))})),
        (".tif", lambda: tiff({tag: (4, bytes(LARGE // 2)) for tag in (273, 279)})),
        (".jpg", lambda: jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0".ljust(65_533, b"x"), 300)),
        (".jpg", lambda: jpeg_with(0xE2, b"ICC_PROFILE\0\1\xff".ljust(65_533, b"x"), 300)),
        (".jpg", lambda: jpeg_with(0xFE, bytes(65_533), 300)),
        (".png", lambda: png_with(*((b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(7_000_000))) for i in range(20)))),
        (".png", lambda: png_with((b"iTXt", b"XML:com.adobe.xmp".ljust(LARGE, b"\0")))),
        (".png", lambda: png_with((b"eXIf", b"II*\0\x08\0\0\0".ljust(LARGE, b"\0")))),
        (".png", lambda: png_with((b"iCCP", b"p\0\0" + zlib.compress(PROFILE)))),
        (".png", lambda: png_with(*[(b"tEXt", b"k\0x")] * 300_000)),
    ],
    ids=[
        "frames", "comments", "tag", "xmp", "profile", "strips", "app1", "app2", "com", "ztxt", "itxt", "exif", "iccp",
        "text",
    ],
)  # fmt: skip
def test_probing_keeps_within_its_share(tmp_path: Path, suffix: str, content: Callable[[], bytes]) -> None:
    path = tmp_path / f"original{suffix}"
    path.write_bytes(content())
    with RenderProcess() as process:
        process.probe(path, *SITE)
        assert process.peak_bytes() < PROBE_BYTES


def test_frames_are_counted_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "original.gif"
    path.write_bytes(gif(43))
    assert probe(path, limits=Limits(frames=43)).frames == 43
    with pytest.raises(TooManyFrames, match="more than 42 frames"):
        probe(path, limits=Limits(frames=42))


def test_pages_are_counted_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "original.tif"
    first, *others = (PIL.Image.new("L", (10, 10), level) for level in range(12))
    first.save(path, save_all=True, append_images=others)
    assert probe(path, limits=Limits(frames=12)).frames == 12
    with pytest.raises(TooManyFrames, match="more than 11 pages"):
        probe(path, limits=Limits(frames=11))


def test_a_field_is_not_too_large_if_the_file_does_not_contain_it(tmp_path: Path) -> None:
    path = tmp_path / "original.tif"
    content = bytearray(tiff({}))
    place = content.index(struct.pack("<HH", 273, 4)) + 4
    content[place : place + 4] = struct.pack("<I", 1_700_000_000)
    path.write_bytes(content)
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", path)


def test_a_large_profile_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "original.tif"
    path.write_bytes(tiff({34_675: (7, bytes(LARGE))}))
    with pytest.raises(NeedsTooMuchMemory, match="colour profile"):
        probe(path, limits=Limits())


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("pointer", [b"\x12\x34\xff\x7f", b"\0\0\0\x09", b"self"])
def test_a_nonsense_pointer_behind_the_first_picture_of_a_tiff_is_ignored(
    tmp_path: Path, pointer: bytes, *, big: bool
) -> None:
    original = tmp_path / "original.tif"
    pixels(SMALL).tiffsave(str(original), bigtiff=big)
    content = bytearray(original.read_bytes())
    assert content.startswith(b"II")
    first, count, entry, width = (8, "<Q", 20, 8) if big else (4, "<H", 12, 4)
    start = int.from_bytes(content[first : first + width], "little")
    (fields,) = struct.unpack_from(count, content, start)
    place = start + struct.calcsize(count) + entry * fields
    content[place : place + 4] = start.to_bytes(4, "little") if pointer == b"self" else pointer
    original.write_bytes(content)
    for derivative in render_into(tmp_path / "out", original, PNG_SIZE, *SITE).derivatives:
        assert_painted(derivative.path, tolerance=12)


def test_layers_beside_the_picture_of_a_tiff_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "original.tif"
    path.write_bytes(tiff({37_724: (7, bytes(LARGE)), 274: (3, struct.pack("<H", 6))}))
    with RenderProcess() as process:
        probed = process.probe(path, *SITE)
        assert isinstance(probed, Probed)
        assert probed.info.orientation == 6
        assert probed.info.render_bytes < PROBE_BYTES


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("is_late", [False, True])
def test_the_orientation_of_a_png_may_stand_behind_its_pixels(
    tmp_path: Path, orientation: int, *, is_late: bool
) -> None:
    shown = []
    for name in ("plain", "labelled"):
        original = tmp_path / f"{name}.png"
        picture = PIL.Image.new("RGB", (60, 40), (10, 20, 30))
        picture.paste((200, 40, 90), (0, 0, 20, 10))
        exif = PIL.Image.Exif()
        exif[274] = orientation
        block = exif.tobytes().removeprefix(b"Exif\0\0")
        if name == "labelled":
            picture.save(original)
            whole = original.read_bytes()
            chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
            place = whole.index(b"IEND") - 4 if is_late else 33
            original.write_bytes(whole[:place] + chunk + whole[place:])
        else:
            turned = {1: None, 3: "ROTATE_180", 6: "ROTATE_270", 8: "ROTATE_90"}[orientation]
            (picture.transpose(PIL.Image.Transpose[turned]) if turned else picture).save(original)
        (derivative,) = render_into(tmp_path / name, original, PNG_SIZE).derivatives
        shown.append((seen(derivative.path).size, seen(derivative.path).tobytes()))
    assert shown[0] == shown[1]


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"tEXt"])
def test_texts_of_a_png_change_no_pixel(tmp_path: Path, kind: bytes) -> None:
    original = tmp_path / "original.png"
    paint(original, SMALL)
    (plain,) = render_into(tmp_path / "plain", original, PNG_SIZE).derivatives
    content = {b"zTXt": b"k\0\0" + zlib.compress(bytes(99)), b"iTXt": b"k\0\0\0\0\0" + bytes(99)}.get(
        kind, b"k\0" + b"x" * 2_000_000
    )
    insert_chunk(original, kind, content)
    (labelled,) = render_into(tmp_path / "labelled", original, PNG_SIZE).derivatives
    assert seen(plain.path).tobytes() == seen(labelled.path).tobytes()


def test_a_png_with_texts_that_ends_early_is_refused(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    paint(original, SMALL)
    insert_chunk(original, b"zTXt", b"k\0\0" + zlib.compress(bytes(99)))
    whole = original.read_bytes()
    original.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", original)


def test_what_a_frame_covers_is_opaque_until_it_is_cleared() -> None:
    frames = (
        Frame(0, 0, 4, 4, disposal=1),
        Frame(4, 0, 4, 4, disposal=2),
        Frame(0, 4, 4, 4, disposal=3),
        Frame(8, 8, 9, 9),
    )
    places = {"first": (1, 1), "second": (5, 1), "third": (1, 5), "fourth": (9, 9), "none": (6, 6)}
    shown = [
        {name for name, place in places.items() if mask(*place) == [255]} for mask in canvas.masks(frames, (10, 10))
    ]
    assert shown == [{"first"}, {"first", "second"}, {"first", "third"}, {"first", "fourth"}]


def test_an_empty_frame_covers_nothing() -> None:
    assert canvas.mask(Frame(0, 0, 0, 0), (10, 10)).max() == 0
    assert canvas.mask(Frame(20, 20, 5, 5), (10, 10)).max() == 0
