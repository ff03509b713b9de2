"""The blocks of a GIF, walked to tell whether the file ends within one: its decoder says nothing of later frames."""

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
"""Bits of a block's flags: whether a table of colours follows, and how long it is. GIF89a numbers all of these so."""


def is_whole(path: Path) -> bool:
    """Tell whether every block that begins also ends; what lies behind the last one does not count."""
    with path.open("rb") as file:
        _skip_colours(file, file.read(_SCREEN_BYTES)[_SCREEN_FLAGS:])
        while (kind := file.read(1)) in (_EXTENSION, _IMAGE):
            if kind == _IMAGE:
                _skip_colours(file, file.read(_IMAGE_BYTES)[_IMAGE_FLAGS:])
            file.seek(1, os.SEEK_CUR)  # what kind of extension it is, or of how many bits the first code
            if not _ends(file):
                return False
    return True


def _skip_colours(file: BinaryIO, flags: bytes) -> None:
    if flags and flags[0] & _HAS_COLOURS:
        file.seek(3 << (flags[0] & _COLOURS) + 1, os.SEEK_CUR)


def _ends(file: BinaryIO) -> bool:
    """Go past the pieces of a block, each behind its length, up to the empty one."""
    while length := file.read(1):
        if length == b"\0":
            return True
        file.seek(length[0], os.SEEK_CUR)
    return False
