"""Facts are found in every format, wherever it has its metadata."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from loadtest.paint import Photograph, paint
from pipeline.errors import Corrupt, NotAnImage
from pipeline.facts.selection import read_facts
from pipeline.protocol import ReadFacts
from tests.pipeline.facts.metadata_blocks import (
    ARTIST,
    ASCII,
    POSITION,
    SHORT,
    Fields,
    exif_block,
    iptc_block,
    jpeg_with,
    packet,
    png_chunk,
)

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = exif_block({ARTIST: (ASCII, b"Ann\0")}, gps=POSITION)


def blank(path: Path, **options: object) -> Path:
    PIL.Image.new("RGB", (40, 30), (200, 40, 40)).save(path, **options)  # type: ignore[arg-type] # an encoder's own
    return path


def facts(path: Path) -> tuple[str, tuple[int, int], str | None, float | None]:
    found = read_facts(ReadFacts(path=str(path), folder=""))
    return found.format, (found.width, found.height), found.creator, found.place.latitude if found.place else None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_exif_is_read_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = blank(tmp_path / f"original{suffix}", exif=b"Exif\0\0" + BLOCK)
    name = {"jpg": "jpeg"}.get(suffix[1:], suffix[1:])
    assert facts(path) == (name, (40, 30), "Ann", 52.5)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif"])
def test_xmp_is_read_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"original{suffix}"
    paint(path, Photograph(width=40, height=30), keep="none")
    xmp = packet("<dc:creator>Ann</dc:creator>")
    if suffix == ".jpg":
        jpeg_with(path, xmp=xmp)
    elif suffix == ".webp":
        blank(path, xmp=xmp)
    else:
        blank(path, tiffinfo={700: xmp})
    assert facts(path)[2] == "Ann"


def test_a_tiff_has_exif_in_its_own_directories(tmp_path: Path) -> None:
    numbers = {256: 4, 257: 3, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 3, 279: 12}
    fields: Fields = {tag: (SHORT, [number]) for tag, number in numbers.items()}
    path = tmp_path / "original.tif"
    path.write_bytes(exif_block({**fields, ARTIST: (ASCII, b"Ann\0")}, gps=POSITION))
    assert facts(path) == ("tiff", (4, 3), "Ann", 52.5)


def test_iptc_is_read_in_a_jpeg(tmp_path: Path) -> None:
    assert facts(jpeg_with(blank(tmp_path / "original.jpg"), iptc=iptc_block((2, 80, b"Ann"))))[2] == "Ann"


def png_with(path: Path, *chunks: bytes, is_behind: bool = False) -> Path:
    plain = blank(path).read_bytes()
    place = plain.index(b"IEND") - 4 if is_behind else 33
    path.write_bytes(plain[:place] + b"".join(chunks) + plain[place:])
    return path


XMP = packet("<dc:creator>Ann</dc:creator>")
IPTC = iptc_block((2, 80, b"Ann"))
RAW = b"\nexif\n%8d\n" % len(BLOCK) + BLOCK.hex().encode()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"eXIf", BLOCK),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0XMP\0" + zlib.compress(XMP)),
        (b"tEXt", b"Author\0Ann"),
        (b"zTXt", b"Author\0\0" + zlib.compress(b"Ann")),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW)),
        (b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(RAW)),
        (
            b"zTXt",
            b"Raw profile type iptc\0\0" + zlib.compress(b"\nIPTC profile\n%8d\n" % len(IPTC) + IPTC.hex().encode()),
        ),
    ],
)
@pytest.mark.parametrize("is_behind", [False, True])
def test_chunks_of_a_png_are_read_before_and_behind_its_pixels(
    tmp_path: Path, kind: bytes, content: bytes, *, is_behind: bool
) -> None:
    path = png_with(tmp_path / "original.png", png_chunk(kind, content), is_behind=is_behind)
    assert facts(path)[2] == "Ann"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"zTXt", b"Author\0\0" + zlib.compress(bytes(100_000_000))),
        (b"zTXt", b"Author\0\0" + zlib.compress(b"Ann")[:-8]),
        (b"zTXt", b"Author\0\0no deflate"),
        (b"tEXt", b"Author"),
        (b"iTXt", b"Author"),
        (b"iTXt", b"Author\0\1\0\0\0no deflate"),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 5\nzz")),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"exif 5" + b" " * 900_000 + b"z")),
    ],
)
def test_a_text_that_is_damaged_or_expands_is_left_out(tmp_path: Path, kind: bytes, content: bytes) -> None:
    path = png_with(tmp_path / "original.png", png_chunk(kind, content), png_chunk(b"tEXt", b"Copyright\0Bo"))
    found = read_facts(ReadFacts(path=str(path), folder=""))
    assert found.copyright == "Bo"
    assert found.creator in (None, "Ann")


def test_the_sides_are_upright(tmp_path: Path) -> None:
    path = tmp_path / "original.jpg"
    paint(path, Photograph(width=40, height=30, orientation=6, gps=True))
    assert facts(path)[1] == (40, 30)


@pytest.mark.parametrize(("content", "error"), [(b"text", NotAnImage), (b"\xff\xd8\xff\xe0", Corrupt)])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    path = tmp_path / "original"
    path.write_bytes(content)
    with pytest.raises(error):
        read_facts(ReadFacts(path=str(path), folder=""))
