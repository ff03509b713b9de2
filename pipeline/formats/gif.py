"""The blocks of a GIF: frames are counted before the decoder opens the file, and truncation is found.

The decoder reports no damage in later frames, and paints black what no frame covers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.errors import TooManyFrames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCREEN_BYTES, _SCREEN_FLAGS = 13, 10
_IMAGE_BYTES, _IMAGE_FLAGS = 9, 8
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9
_HAS_COLOURS, _COLOURS = 0x80, 0x07
"""Bits of a block's flags: whether a colour table follows, and its size. GIF89a uses the same bits in all blocks."""

_DISPOSAL_SHIFT, _DISPOSAL_BITS = 2, 7
CLEARED, RESTORED = 2, 3
"""Disposals of a frame's area before the next frame: it is cleared, or restored."""

_MOST_BLOCKS = 20_000
"""Blocks of a file. A frame has two or three."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The area of the canvas that a frame paints, in pixels, and its disposal."""

    left: int
    top: int
    width: int
    height: int
    disposal: int = 0

    def covers(self, width: int, height: int) -> bool:
        """Return whether the frame covers a canvas of this size."""
        return self.left == self.top == 0 and self.width >= width and self.height >= height


@dataclass(frozen=True, slots=True)
class Survey:
    """The frames of a file, and whether every block is complete; data after the last block is ignored."""

    frames: tuple[Frame, ...]
    is_complete: bool


def survey(path: Path, *, most_frames: int) -> Survey:
    """Return the frames of a GIF.

    Raises:
        TooManyFrames: there are more than `most_frames`, or far more blocks than frames need.
    """
    frames: list[Frame] = []
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        try:
            for frame in _frames(content):
                frames.append(frame)
                if len(frames) > most_frames:
                    raise TooManyFrames(sentences.FRAMES.format(limit=most_frames))
        except (IndexError, struct.error):
            return Survey(tuple(frames), is_complete=False)
    return Survey(tuple(frames), is_complete=True)


def _frames(content: mmap) -> Iterator[Frame]:
    """Yield the frames up to the last block.

    Raises:
        IndexError, struct.error: the file ends within a block.
    """
    position = _SCREEN_BYTES + _colours(content[_SCREEN_FLAGS])
    disposal, last = 0, len(content)
    for _ in range(_MOST_BLOCKS):
        if position >= last or content[position] not in (_EXTENSION, _IMAGE):
            return
        is_image = content[position] == _IMAGE
        position += 1
        if is_image:
            left, top, width, height = struct.unpack_from("<HHHH", content, position)
            frame = Frame(left, top, width, height, disposal)
            position += _IMAGE_BYTES + _colours(content[position + _IMAGE_FLAGS])
        elif content[position] == _CONTROL:
            disposal = content[position + 2] >> _DISPOSAL_SHIFT & _DISPOSAL_BITS
        position += 1  # the extension's label, or the size of the first code in bits
        while length := content[position]:
            position += length + 1
        position += 1
        if is_image:
            yield frame
            disposal = 0
    raise TooManyFrames(sentences.BLOCKS.format(limit=_MOST_BLOCKS))


def _colours(flags: int) -> int:
    return 3 << (flags & _COLOURS) + 1 if flags & _HAS_COLOURS else 0
