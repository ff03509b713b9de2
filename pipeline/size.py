"""A named size: the validated recipe of a derivative."""

from __future__ import annotations

import json
import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Literal, get_args
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

RENDERING_VERSION = 8
"""Our rendering version.

Increment it when the same recipe and the same libvips produce other bytes, or other metadata, than before.
"""

MAX_SIDE = 16_383
"""Pixels. The largest side that WebP supports (14 bits), and of the box of a size; JPEG, PNG and AVIF support more."""

Fit = Literal["limit", "fill"]
Position = Literal["centre", "attention"]
Gamut = Literal["srgb", "keep"]
OutputFormat = Literal["jpeg", "png", "webp", "avif"]

STEP_WIDTH = 700
"""Pixels. A derivative wider than this has enough detail to be the source that smaller ones are shrunk from."""

_Box = tuple[str, int, int]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_RESERVED = "original"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The recipe of one derivative: a box in pixels, how the image fits into it, and how it is encoded.

    Raises:
        ValueError: the recipe is invalid; the message lists all faults, one sentence each, joined by "; ".
    """

    name: str
    width: int
    height: int | None = None
    fit: Fit = "limit"
    position: Position = "centre"
    quality: int = 76
    format: OutputFormat | None = None
    effort: int | None = None
    """Encoder effort, 0 (fast) to 9; None uses our default for the format, see `pipeline.formats.registry`.

    For JPEG any effort above 0 optimises the Huffman codes: 3 % fewer bytes for three times the work.
    """
    gamut: Gamut = "srgb"
    """How to treat colours outside sRGB: "srgb" converts them, "keep" keeps them and their profile if it is small."""
    animate: bool = False
    """Render all frames of an animation, as WebP; otherwise only the first frame is rendered."""
    keep_copyright: bool = False
    """Keep the names of the creator and the copyright holder in the derivative's metadata."""

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(faults))

    def dimensions(self, *, width: int, height: int, highest: int = MAX_SIDE) -> tuple[int, int]:
        """Return the derivative's width and height in pixels for an original of `width` x `height`.

        Both the original's dimensions and the result are after the orientation is applied.

        `limit` shrinks the original to fit the box and never enlarges it. The aspect ratio is kept to the nearest pixel
        (halves round up, at least one pixel). Without a `height` the box is `highest` high, the most that the format of
        the derivative can hold.

        `fill` returns the dimensions of the box. An original too small to cover the box is not enlarged: it is cropped
        to the aspect ratio of the box at its own resolution. The result is the largest rectangle of that aspect ratio
        within the original.
        """
        box_height = self.height or highest
        if self.fit == "limit":
            return _shrunk(width, height, into=(self.width, box_height))
        if width >= self.width and height >= box_height:
            return self.width, box_height
        return _shrunk(self.width, box_height, into=(width, height))

    def cover(self, *, width: int, height: int, highest: int = MAX_SIDE) -> tuple[int, int]:
        """Return the width and height in pixels that the whole original is shrunk to, before `fill` crops it."""
        box = self.dimensions(width=width, height=height, highest=highest)
        return box if self.fit == "limit" else _covering(width, height, box=box)

    @property
    def is_source(self) -> bool:
        """Whether smaller sizes are shrunk from this one rather than from a larger one."""
        return self.width > STEP_WIDTH

    def _faults(self) -> Iterator[str]:
        if not _NAME.fullmatch(self.name):
            yield f"size name {self.name!r} must be lower case letters, digits and -, a letter first, 32 at most"
        if self.name == _RESERVED:
            yield f"size name {_RESERVED!r} is taken: it stands for the original itself"
        yield from _range_faults("width", self.width, least=1, most=MAX_SIDE)
        if self.height is not None:
            yield from _range_faults("height", self.height, least=1, most=MAX_SIDE)
        if self.fit == "fill" and self.height is None:
            yield "fit 'fill' needs a height"
        yield from _range_faults("quality", self.quality, least=1, most=100)
        if self.effort is not None:
            yield from _range_faults("effort", self.effort, least=0, most=9)
        if self.animate and self.format not in (None, "webp"):
            yield "animate needs format 'webp', or none"
        yield from self._choice_faults()

    def _choice_faults(self) -> Iterator[str]:
        for name, value, choices in (
            ("fit", self.fit, Fit),
            ("position", self.position, Position),
            ("gamut", self.gamut, Gamut),
            ("format", self.format, OutputFormat),
        ):
            if value not in get_args(choices) and not (name == "format" and value is None):
                yield f"{name} {value!r} must be one of {', '.join(get_args(choices))}"


def base_size(sizes: Sequence[Size]) -> Size:
    """Return the size from which the preview of a picture is made: the narrowest that shows all of it, if any does."""
    return min(sizes, key=lambda size: (size.fit != "limit", size.width, size.height or MAX_SIDE))


def render_profile(size: Size, *, among: Collection[Size], libvips: str) -> str:
    """Return a readable identifier for all inputs, except the original, that determine a derivative's bytes.

    A derivative is shrunk from the next larger source size, or from the largest size. So all sizes that may precede it
    are part of its profile, and a new size changes only the profiles of smaller ones. The set of gamuts in the recipe
    is part of it too, because 16-bit originals are shrunk separately for each gamut.
    """
    recipe = json.dumps([astuple(size), sorted(_above(size, among)), sorted({other.gamut for other in among})])
    return f"{RENDERING_VERSION}-{libvips}-{crc32(recipe.encode()):08x}"


def _above(size: Size, among: Collection[Size]) -> list[_Box]:
    """Return the boxes of all images that may be rendered between the original and this size."""
    boxes = {_box(other) for other in among}
    steps = {_box(other) for other in among if other.is_source}
    outermost = {box for box in boxes if not any(_contains(other, box) for other in boxes - {box})}
    return [box for box in steps | outermost if not _contains(_box(size), box)]


def _box(size: Size) -> _Box:
    return size.fit, size.width, size.height or MAX_SIDE


def _contains(outer: _Box, inner: _Box) -> bool:
    return outer[0] == inner[0] and outer[1] >= inner[1] and outer[2] >= inner[2]


def _range_faults(name: str, value: int, *, least: int, most: int) -> Iterator[str]:
    if not least <= value <= most:
        yield f"{name} {value} must be {least} to {most}"


def _shrunk(width: int, height: int, *, into: tuple[int, int]) -> tuple[int, int]:
    """Return `width` x `height` shrunk to fit a box, in integers: floating point is sometimes one pixel off."""
    box_width, box_height = into
    if width <= box_width and height <= box_height:
        return width, height
    if height * box_width <= width * box_height:
        return box_width, max(1, _rounded(height * box_width, width))
    return max(1, _rounded(width * box_height, height)), box_height


def _covering(width: int, height: int, *, box: tuple[int, int]) -> tuple[int, int]:
    box_width, box_height = box
    if height * box_width >= width * box_height:
        return box_width, max(box_height, _rounded(height * box_width, width))
    return max(box_width, _rounded(width * box_height, height)), box_height


def _rounded(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest integer, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
