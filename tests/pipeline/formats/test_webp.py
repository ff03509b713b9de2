"""What kind of compression a WebP has is known from its chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import PIL.Image
import pytest

from pipeline.formats import webp

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        ("RGB", {}, True),
        ("RGBA", {}, True),
        ("RGB", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}, True),
        ("RGB", {"lossless": True}, False),
        ("RGBA", {"lossless": True}, False),
        ("RGB", {"save_all": True, "append_images": [PIL.Image.new("RGB", (32, 32), "red")]}, False),
    ],
)
def test_only_lossy_still_images_are_lossy(
    tmp_path: Path,
    mode: str,
    options: dict[str, object],
    expected: bool,  # noqa: FBT001 - a parameter
) -> None:
    path = tmp_path / "a.webp"
    picture = PIL.Image.new(mode, (32, 32), (10, 20, 30, 40)[: len(mode)])
    picture.save(path, "WEBP", **options)
    assert webp.is_lossy(path) is expected


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WEBP", b"RIFF\0\0\0\0WEBP" + b"XXXX\0\0\0\0" * 100])
def test_a_file_without_an_image_is_not_lossy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(content)
    assert webp.is_lossy(path) is False
