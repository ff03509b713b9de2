"""The chunks of a WebP file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_RIFF_BYTES, _HEAD_BYTES = 12, 8
_LOSSY = b"VP8 "
_IMAGES = (_LOSSY, b"VP8L", b"ANMF")
_MOST_CHUNKS = 64


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
