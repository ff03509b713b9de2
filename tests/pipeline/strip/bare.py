"""Helpers for copies without metadata: files made by hand, and what is read of a copy."""

from __future__ import annotations

import io
import random
import zlib
from typing import TYPE_CHECKING

import PIL.Image

from pipeline.decode.copying import copied
from pipeline.decode.original import open_original
from pipeline.size import Size
from pipeline.strip import copies
from tests.pipeline.rendering import render_into

if TYPE_CHECKING:
    from pathlib import Path

FULL = Size(name="full", strip_only=True)
SECRET = b"Serial 4711, 47 22 30 N, A. Painter"
"""Metadata that no copy may have, in whatever chunk or segment it was."""


def picture(width: int = 40, height: int = 30, mode: str = "RGB", seed: int = 0) -> PIL.Image.Image:
    """Return a picture of noise, the same one for the same arguments."""
    levels = random.Random(seed)  # noqa: S311 - noise, not secrets
    noise = PIL.Image.new("L", (width, height))
    noise.putdata([min(max(round(levels.gauss(128, 90)), 0), 255) for _ in range(width * height)])
    return PIL.Image.merge(
        "RGB", (noise, noise.rotate(180), noise.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT))
    ).convert(mode)


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    """Return an image as a file of this kind."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(file: bytes) -> list[bytes]:
    """Decode all frames of a file with Pillow, independently of libvips; the orientation is not applied."""
    with PIL.Image.open(io.BytesIO(file)) as opened:
        found = []
        for frame in range(getattr(opened, "n_frames", 1) if opened.format == "WEBP" else 1):
            opened.seek(frame)
            found.append(opened.convert("RGBA").tobytes() if opened.mode == "P" else opened.tobytes())
        return found


def full(folder: Path, file: bytes) -> bytes:
    """Return the derivative of a file at its own dimensions, without metadata."""
    original = folder / "original"
    original.write_bytes(file)
    (derivative,) = render_into(folder / "out", original, FULL).derivatives
    return (folder / "out" / derivative.path).read_bytes()


def is_copied(folder: Path, file: bytes) -> bool:
    """Return whether the structure of a file is known well enough to copy it."""
    original = folder / "original"
    original.write_bytes(file)
    return copied(open_original(original), animation_pixels=25_000_000) is not None


def is_known(folder: Path, file: bytes, name: str) -> bool:
    """Return whether all parts of a file are known, even if a decoder refuses some."""
    original = folder / "original"
    original.write_bytes(file)
    return copies.copied(original, name, None) is not None


def turning(orientation: int) -> bytes:
    """Return an EXIF block with this orientation, without the six bytes that begin a segment of a JPEG."""
    exif = PIL.Image.Exif()
    exif[274] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


def segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png_chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG, which must reach to the end of the file."""
    found, place = [], 8
    while place < len(file):
        length = int.from_bytes(file[place : place + 4], "big")
        found.append((file[place + 4 : place + 8], file[place + 8 : place + 8 + length]))
        place += length + 12
    assert place == len(file)
    return found


def webp_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks within a WebP or within one of its frames."""
    found, place = [], 0
    while place < len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        found.append((content[place : place + 4], content[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    assert place == len(content)
    return found
