"""The parts of an animation's canvas that its frames cover: browsers show the rest as transparent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyvips

from pipeline.formats.gif import CLEARED, RESTORED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.formats.gif import Frame

_OPAQUE = 255


def mask(frame: Frame, sides: tuple[int, int]) -> pyvips.Image:
    """Return an alpha band for a canvas of these dimensions, opaque where the frame covers it."""
    return _painted(pyvips.Image.black(*sides), frame, _OPAQUE)


def masks(frames: Sequence[Frame], sides: tuple[int, int]) -> Iterator[pyvips.Image]:
    """Yield the alpha band of the canvas while each frame is shown."""
    before = pyvips.Image.black(*sides).copy_memory()
    for frame in frames:
        shown = _painted(before, frame, _OPAQUE).copy_memory()
        yield shown
        if frame.disposal == CLEARED:
            before = _painted(shown, frame, 0).copy_memory()
        elif frame.disposal != RESTORED:
            before = shown


def _painted(image: pyvips.Image, frame: Frame, level: int) -> pyvips.Image:
    return image.draw_rect(level, frame.left, frame.top, frame.width, frame.height, fill=True)
