"""Detection of truncated GIFs from their block structure: the decoder does not report damage in later frames."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_SCREEN_BYTES, _SCREEN_FLAGS = 13, 10
_IMAGE_BYTES, _IMAGE_FLAGS = 9, 8
_EXTENSION, _IMAGE = b"!", b","
_HAS_COLOURS, _COLOURS = 0x80, 0x07
"""Bits of a block's flags: whether a colour table follows, and its size. GIF89a uses the same bits in all blocks."""


def is_complete(path: Path) -> bool:
    """Return whether every block is complete; data after the last block is ignored."""
    with path.open("rb") as file:
        _skip_colours(file, file.read(_SCREEN_BYTES)[_SCREEN_FLAGS:])
        while (kind := file.read(1)) in (_EXTENSION, _IMAGE):
            if kind == _IMAGE:
                _skip_colours(file, file.read(_IMAGE_BYTES)[_IMAGE_FLAGS:])
            file.seek(1, os.SEEK_CUR)  # the extension's label, or the size of the first code in bits
            if not _ends(file):
                return False
    return True


def _skip_colours(file: BinaryIO, flags: bytes) -> None:
    if flags and flags[0] & _HAS_COLOURS:
        file.seek(3 << (flags[0] & _COLOURS) + 1, os.SEEK_CUR)


def _ends(file: BinaryIO) -> bool:
    """Skip the sub-blocks of a block; return whether they end with the empty one that terminates it."""
    while length := file.read(1):
        if length == b"\0":
            return True
        file.seek(length[0], os.SEEK_CUR)
    return False
