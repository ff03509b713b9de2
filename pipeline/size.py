"""A named size: the recipe of a derivative, as a value that refuses nonsense."""

from __future__ import annotations

import json
import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Literal, get_args
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

RENDERING_VERSION = 5
"""Ours: one more whenever the same recipe and the same libvips give other bytes than before."""

MAX_SIDE = 16_383
"""Pixels. The most that WebP can hold (14 bits a side); JPEG, PNG and AVIF hold more."""

Fit = Literal["limit", "fill"]
Position = Literal["centre", "attention"]
Gamut = Literal["srgb", "keep"]
OutputFormat = Literal["jpeg", "png", "webp", "avif"]

STEP_WIDTH = 700
"""Pixels. A derivative wider than this is large enough to shrink smaller ones from, and is a step on their way."""

LARGE_WIDTH = 1000
"""Pixels. A derivative wider than this takes so long that it is shrunk in 8 bits: see `pipeline.image.transfer`."""

_Box = tuple[str, int, int]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_RESERVED = "original"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one derivative looks like: a box in pixels, how the picture fits it, and how it is encoded.

    Raises:
        ValueError: every fault of the recipe at once, one sentence each, joined by "; ".
    """

    name: str
    width: int
    height: int | None = None
    fit: Fit = "limit"
    position: Position = "centre"
    quality: int = 76
    format: OutputFormat | None = None
    effort: int | None = None
    """How hard the encoder tries, 0 (fast) to 9; None is the encoder's own balance.

    For JPEG anything above 0 looks for the best Huffman codes: 3 % fewer bytes for three times the work.
    """
    gamut: Gamut = "srgb"
    """What becomes of colours that sRGB does not have: converted, or kept with their small profile."""
    animate: bool = False
    """Keep the frames of an animation, as WebP; else the first frame is the picture."""
    keep_copyright: bool = False
    """Keep the names of who made the picture and who holds the right to it."""

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(faults))

    def dimensions(self, *, width: int, height: int) -> tuple[int, int]:
        """Give the derivative's width and height in pixels for an upright original of `width` x `height`.

        `limit` shrinks the original into the box, never enlarging it; the aspect is kept to the nearest pixel (halves
        up, at least one). Without a `height` the box is `MAX_SIDE` high, so that every format can hold the result.

        `fill` gives the box. An original too small to cover it is not enlarged: it is cropped to the box's aspect at
        its own resolution, so the result is the largest rectangle of that aspect that the original holds.
        """
        if self.fit == "limit":
            return _shrunk(width, height, into=(self.width, self._box_height))
        if width >= self.width and height >= self._box_height:
            return self.width, self._box_height
        return _shrunk(self.width, self._box_height, into=(width, height))

    def cover(self, *, width: int, height: int) -> tuple[int, int]:
        """Give the width and height in pixels that the whole original is shrunk to, before `fill` crops it."""
        box = self.dimensions(width=width, height=height)
        return box if self.fit == "limit" else _covering(width, height, box=box)

    @property
    def is_source(self) -> bool:
        """Whether smaller sizes are shrunk from this one, rather than from a larger one."""
        return self.width > STEP_WIDTH

    @property
    def is_large(self) -> bool:
        """Whether it is shrunk in 8 bits rather than in 16."""
        return self.width > LARGE_WIDTH

    @property
    def _box_height(self) -> int:
        return self.height or MAX_SIDE

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


def render_profile(size: Size, *, among: Collection[Size], libvips: str) -> str:
    """Name everything but the original that decides a derivative's bytes, for people and for comparing.

    A derivative is shrunk from the next larger one that serves as a step, or from the largest: so those that may lie
    above it are part of its profile, and a new size changes the profiles of smaller ones only; so is whether all sizes
    have the same gamut, as each gamut of 16 bits has its own way down.
    """
    recipe = json.dumps([astuple(size), sorted(_above(size, among)), sorted({other.gamut for other in among})])
    return f"{RENDERING_VERSION}-{libvips}-{crc32(recipe.encode()):08x}"


def _above(size: Size, among: Collection[Size]) -> list[_Box]:
    """Give the boxes that the way from the original to a size's derivative may lead through."""
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
    """Shrink `width` x `height` into a box in whole numbers: floating point would be one pixel off here and there."""
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
    """Divide, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
