"""What a file of unknown origin is, told by its first bytes."""

from __future__ import annotations

from typing import Final

from proxy.stores.base import UNKNOWN_TYPE

SNIFF_BYTES: Final = 16
"""As many first bytes as `content_type` looks at."""

_MAGIC: Final = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftyphev", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
)


def content_type(start: bytes) -> str:
    """Give the content type of a file that begins with `start`: a picture's, or that of unknown bytes."""
    return next((name for offset, magic, name in _MAGIC if start.startswith(magic, offset)), UNKNOWN_TYPE)
