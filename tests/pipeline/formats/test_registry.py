"""A file's format is recognised by its first bytes, not by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import NotAnImage, UnsupportedFormat
from pipeline.formats.registry import READABLE, WRITABLE, output, recognise
from pipeline.size import Size

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"\xff\xd8\xff\xe0", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF\x10\0\0\0WEBPVP8 ", "webp")],
)
def test_a_readable_format_is_recognised(tmp_path: Path, head: bytes, name: str) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(head)
    assert recognise(path).name == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"%PDF-1.7", "pdf"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "svg"),
        (b'<?xml version="1.0"?><svg/>', "svg"),
        (b"BM\x10\0\0\0\0\0\0\0", "bmp"),
        (b"\0\0\0\x18ftypmp42", "video"),
        (b"II*\0\x10\0\0\0CR\x02", "raw"),
        (b"\x08\xf2\xa6\xb6", "vips"),
    ],
)
def test_what_is_known_and_not_read_is_refused_by_name(tmp_path: Path, head: bytes, name: str) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(head)
    with pytest.raises(UnsupportedFormat, match=name):
        recognise(path)


@pytest.mark.parametrize("head", [b"", b"\xff\xd8", b"GIF8", b"<html>", b"\x7fELF"])
def test_everything_else_is_not_an_image(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(head)
    with pytest.raises(NotAnImage):
        recognise(path)


def test_the_codes_of_a_jpeg_are_chosen_for_small_pictures_whatever_their_size_would_allow() -> None:
    size, options = Size(name="a", width=2000), WRITABLE["jpeg"].options
    assert options(size, 1200)["optimize_coding"]
    assert not options(size, 1201)["optimize_coding"]
    assert options(Size(name="a", width=2000, effort=1), 2000)["optimize_coding"]


def test_a_size_has_the_last_word_on_the_format() -> None:
    assert output(READABLE["png"], Size(name="a", width=9), has_alpha=True).name == "png"
    assert output(READABLE["png"], Size(name="a", width=9, format="webp"), has_alpha=False).name == "webp"
