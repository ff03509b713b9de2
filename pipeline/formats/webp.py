"""The chunks of a WebP file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

_RIFF_BYTES, _HEAD_BYTES = 12, 8
_LOSSY = b"VP8 "
_IMAGES = (_LOSSY, b"VP8L", b"ANMF")
_MOST_CHUNKS = 64
_MAX_CHUNKS = 10_000


@dataclass(frozen=True, slots=True)
class WebpChunk:
    """One chunk: its type, and the position and length of its content in the file."""

    kind: bytes
    start: int
    length: int


def is_lossy(path: Path) -> bool:
    """Return whether a file is certainly a lossy still image, which is decoded a few lines at a time."""
    with path.open("rb") as file:
        file.seek(_RIFF_BYTES)
        for _ in range(_MOST_CHUNKS):
            head = file.read(_HEAD_BYTES)
            if head[:4] in _IMAGES or len(head) < _HEAD_BYTES:
                return head[:4] == _LOSSY
            length = int.from_bytes(head[4:], "little")
            file.seek(length + length % 2, 1)
    return False


def chunks(file: BinaryIO, *, within: range | None = None) -> Iterator[WebpChunk]:
    """Yield the chunks of a file, or those in a part of it; the caller may seek in between.

    Bytes behind the end that the file states are no chunks, nor is one that is longer than what is there.
    """
    if within is None:
        file.seek(0)
        stated = int.from_bytes(file.read(_HEAD_BYTES)[4:], "little")
        within = range(_RIFF_BYTES, min(_HEAD_BYTES + stated, os.fstat(file.fileno()).st_size))
    position = within.start
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(_HEAD_BYTES)
        length = int.from_bytes(head[4:], "little")
        start = position + _HEAD_BYTES
        if len(head) < _HEAD_BYTES or start + length > within.stop:
            return
        yield WebpChunk(head[:4], start, length)
        position = start + length + length % 2


def content(file: BinaryIO, chunk: WebpChunk, most: int = 1 << 16) -> bytes:
    """Return the content of a chunk, at most `most` bytes of it."""
    file.seek(chunk.start)
    return file.read(min(chunk.length, most))


def head(length: int) -> bytes:
    """Return how a file starts whose chunks have this many bytes in total."""
    return b"RIFF" + (length + 4).to_bytes(4, "little") + b"WEBP"


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk, filled to an even length."""
    return kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
