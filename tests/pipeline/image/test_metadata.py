"""No metadata of an original is kept in a derivative, except what the size requests."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO
from pathlib import Path

import PIL.Image
import pytest

from loadtest.paint import Photograph, paint
from pipeline.formats.tiff import directory_of
from pipeline.size import Size
from tests.pipeline.rendering import needs_corpus, photographs, render_into, seen

MAKE, ORIENTATION, ARTIST, COPYRIGHT = 0x010F, 0x0112, 0x013B, 0x8298
MARKS = (
    b"Exif\0\0",
    b"http://ns.adobe.com/",
    b"GPS",
    b"MakerNote",
    b"Photoshop 3.0",
    b"MPF\0",
    b"ICC_PROFILE",
    b"Gall Camera",
)
"""Bytes that identify each kind of metadata that a photograph may contain."""

HARMLESS = {"File", "SourceFile", "ExifTool", "JFIF", "PNG", "RIFF", "QuickTime", "Composite", "Meta"}
"""The groups that exiftool reports for an image without metadata: its dimensions and encoding."""


def painted(tmp_path: Path, suffix: str = ".jpg") -> Path:
    path = tmp_path / f"original{suffix}"
    paint(path, Photograph(width=640, height=480, gps=True))
    assert b"Gall Camera" in path.read_bytes()
    return path


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif"])
def test_no_byte_of_metadata_reaches_a_derivative(tmp_path: Path, name: str) -> None:
    size = Size(name="a", width=300, format=name)  # type: ignore[arg-type] # parametrised
    (derivative,) = render_into(tmp_path / "out", painted(tmp_path), size).derivatives
    content = (tmp_path / "out" / derivative.path).read_bytes()
    assert not [mark for mark in MARKS if mark in content]


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif"])
def test_the_owner_is_kept_where_the_size_says_so_and_nothing_else(tmp_path: Path, name: str) -> None:
    size = Size(name="a", width=300, format=name, keep_copyright=True)  # type: ignore[arg-type] # parametrised
    (derivative,) = render_into(tmp_path / "out", painted(tmp_path), size).derivatives
    exif = seen(derivative.path).getexif()
    assert exif[ARTIST] == "A. Painter"
    assert exif[COPYRIGHT] == "Nobody at all"
    content = (tmp_path / "out" / derivative.path).read_bytes()
    assert not [mark for mark in (b"Gall Camera", b"GPS", b"Painted") if mark in content]


NAMES = {ARTIST: "山田太郎".encode(), COPYRIGHT: "© Łukasz".encode()}


def with_names(path: Path, names: dict[int, bytes]) -> None:
    """Write an image with these names beside other tags, in its EXIF or, for a TIFF, in its own fields."""
    exif = PIL.Image.Exif()
    exif[MAKE] = "Gall Camera"
    exif[ORIENTATION] = 1
    for field, name in names.items():
        exif[field] = name
    PIL.Image.new("RGB", (64, 48), (200, 40, 40)).save(path, exif=exif, dpi=(300, 300))


@pytest.mark.parametrize("names", [NAMES, {ARTIST: b"Ann"}, {ARTIST: b"x" * 20_000, COPYRIGHT: "é".encode() * 400}])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif"])
def test_the_names_of_the_owner_are_kept_as_they_are_written_and_no_other_tag(
    tmp_path: Path, names: dict[int, bytes], suffix: str, name: str
) -> None:
    original = tmp_path / f"original{suffix}"
    with_names(original, names)
    size = Size(name="a", width=32, format=name, keep_copyright=True)  # type: ignore[arg-type] # parametrised
    (derivative,) = render_into(tmp_path / "out", original, size).derivatives
    exif = seen(derivative.path).getexif()
    assert {field: text.encode("latin-1")[:500] for field, text in exif.items()} == {
        field: text[:500].decode(errors="ignore").encode() for field, text in names.items()
    }
    assert b"Gall Camera" not in Path(derivative.path).read_bytes()


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"Photographer\0Editor\0", b"Photographer\0Editor"),
        (b" \0Editor\0", b" \0Editor"),
        (b"Photographer\0\0\0\0", b"Photographer"),
        (b"Photographer\0Editor\0what a buffer held before", b"Photographer\0Editor"),
    ],
)
def test_a_zero_parts_the_photographer_from_the_editor(tmp_path: Path, written: bytes, kept: bytes) -> None:
    original = tmp_path / "original.jpg"
    with_names(original, {ARTIST: b"Ann\0what a buffer held before", COPYRIGHT: written})
    size = Size(name="a", width=32, keep_copyright=True)
    (derivative,) = render_into(tmp_path / "out", original, size).derivatives
    exif = seen(derivative.path).info["exif"]
    assert directory_of(BytesIO(exif.removeprefix(b"Exif\0\0"))).texts == {ARTIST: b"Ann\0", COPYRIGHT: kept + b"\0"}


@pytest.mark.needs("exiftool", "libimage-exiftool-perl")
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif"])
def test_another_program_finds_the_names_of_the_owner_and_no_other_tag(tmp_path: Path, name: str) -> None:
    original = tmp_path / "original.jpg"
    with_names(original, NAMES)
    size = Size(name="a", width=32, format=name, keep_copyright=True)  # type: ignore[arg-type] # parametrised
    (derivative,) = render_into(tmp_path / "out", original, size).derivatives
    found = subprocess.run(["exiftool", "-json", "-G1", "-a", "-u", derivative.path], capture_output=True, check=True)
    (tags,) = json.loads(found.stdout)
    assert {tag: text for tag, text in tags.items() if "IFD" in tag} == {
        "IFD0:Artist": "山田太郎",
        "IFD0:Copyright": "© Łukasz",
    }


def test_a_picture_without_an_owner_gets_none(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    paint(original, Photograph(width=64, height=48), keep="none")
    size = Size(name="a", width=32, keep_copyright=True)
    (derivative,) = render_into(tmp_path / "out", original, size).derivatives
    assert not seen(derivative.path).getexif()


@needs_corpus
@pytest.mark.needs("exiftool", "libimage-exiftool-perl")
@pytest.mark.parametrize("photograph", photographs(), ids=lambda path: path.name)
def test_another_program_finds_no_metadata_in_any_derivative(tmp_path: Path, photograph: Path) -> None:
    render_into(tmp_path, photograph, Size(name="a", width=300), Size(name="b", width=300, format="webp"))
    found = subprocess.run(["exiftool", "-json", "-G", "-a", "-u", tmp_path], capture_output=True, check=True)
    for derivative in json.loads(found.stdout):
        assert {tag.split(":")[0] for tag in derivative} <= HARMLESS
        assert not [tag for tag in derivative if "GPS" in tag or "Thumbnail" in tag]
