"""Similarity of two images, in measures that distinguish the causes of a difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pipeline.compare.judge import ssimulacra2
from pipeline.decode.original import first_frame
from pipeline.image import colour, orientation, vips
from pipeline.protocol import Similarity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyvips

    from pipeline.decode.original import Original

BACKGROUND = 128
"""The grey level behind transparent pixels: on white a white drawing would be invisible, on black a black one."""

THUMBNAIL_SIDE = 64
"""Pixels per side of the copies on which colours and rotations are compared.

At that size, sharpness and compression have no effect.
"""

TILE_SIDE = 512
"""Pixels per side of the parts that are scored.

A part takes 150 MB and 0.6 s; a whole derivative of 2000 x 1500 would take 1.6 GB and 6 s (SSIMULACRA2 in numpy, 530
bytes per pixel).
"""

TILES = 4
"""The number of parts that are scored: those that differ most."""

LEAST_SIDE = 8
"""Pixels. The smallest side that SSIMULACRA2 can score."""

MIN_ROTATION_DIFFERENCE = 5.0
"""Mean CIEDE2000. Images that differ less have the same orientation, or none that is recognisable."""

MIN_DIFFERENCE = 1.0
"""Mean CIEDE2000. Below this no cause is searched for."""

LEAST_DETAIL = 0.3
"""Levels. A smaller value is due to compression of a smooth area, not to detail; a photograph has 1 to 10."""

_NEARLY = 0.1
"""Fraction of a side. Dimensions that differ by less are nearly the same."""

_HALF = 0.5
"""An explanation counts if it leaves less than this fraction of the difference."""

_WIDE = "p3"
"""libvips' name for Display P3, used by phones since 2016; assumed if the other file has no profile."""

ROTATIONS: dict[str, Callable[[pyvips.Image], pyvips.Image]] = {
    "": lambda picture: picture,
    "rotated by 90 degrees": lambda picture: picture.rot270(),
    "rotated by 180 degrees": lambda picture: picture.rot180(),
    "rotated by 270 degrees": lambda picture: picture.rot90(),
    "mirrored left to right": lambda picture: picture.fliphor(),
    "mirrored top to bottom": lambda picture: picture.flipver(),
    "mirrored and rotated by 90 degrees": lambda picture: picture.fliphor().rot270(),
    "mirrored and rotated by 270 degrees": lambda picture: picture.fliphor().rot90(),
}
"""How the new image may be rotated (clockwise) or mirrored relative to the old one, and how to undo it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An upright image: its colours as displayed, the raw pixel values of the file, and its opacity."""

    shown: pyvips.Image
    numbers: pyvips.Image
    alpha: pyvips.Image
    profile: bytes | None

    def each(self, change: Callable[[pyvips.Image], pyvips.Image]) -> Picture:
        """Return the same image with `change` applied to its colours, raw values and opacity."""
        return replace(self, shown=change(self.shown), numbers=change(self.numbers), alpha=change(self.alpha))


def decoded(original: Original) -> Picture:
    """Decode the first frame of a file into memory.

    Raises:
        Corrupt: the file is truncated, or image data is lost.
        UnsupportedFormat: the decoder is not installed.
    """
    sides = original.header.width, original.header.height
    held = orientation.upright(first_frame(original, _evaluated, sides=sides))
    shown = colour.to_8_bit(colour.to_srgb(held))
    # Otherwise every later libvips operation would try an invalid profile again.
    bare = colour.to_8_bit(colour.without_profile(held))
    alpha = shown.extract_band(shown.bands - 1) if shown.hasalpha() else (shown.extract_band(0) * 0 + 255).cast("uchar")
    return Picture(
        shown=vips.evaluate(_flatten(shown)),
        numbers=_coarse(_flatten(bare)),
        alpha=_coarse(alpha),
        profile=colour.profile(held),
    )


def _evaluated(image: pyvips.Image) -> pyvips.Image:
    return vips.evaluate(colour.to_rgb(image))


def similarity(old: Picture, new: Picture) -> Similarity:
    """Measure the similarity of two images."""
    turn = _turn(old, new)
    new = new.each(ROTATIONS[turn])
    one, other = match_dimensions(old.shown, new.shown)
    difference = _colour_difference(_coarse(old.shown), _coarse(new.shown))
    return Similarity(
        turn=turn,
        score=score(one, other),
        hash_bits=(_difference_hash(old.shown) ^ _difference_hash(new.shown)).bit_count(),
        colour=round(difference, 3),
        alpha=round((old.alpha - new.alpha).abs().avg(), 3),
        detail=round(_detail(other) / _detail(one), 4),
        profile=_profile(old, new, difference),
    )


def match_dimensions(one: pyvips.Image, other: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image]:
    """Return both images at the same dimensions: the smaller ones, or half of those if they are nearly the same.

    Resizing by a pixel removes fine detail, which an image rendered at that size still has.
    """
    sides = min(one.width, other.width), min(one.height, other.height)
    if _sides(one) == _sides(other):
        return one, other
    if max(one.width - sides[0], other.width - sides[0]) < _NEARLY * sides[0]:
        sides = max(1, sides[0] // 2), max(1, sides[1] // 2)
    return _resized(one, sides), _resized(other, sides)


def _sides(picture: pyvips.Image) -> tuple[int, int]:
    return picture.width, picture.height


def _resized(picture: pyvips.Image, sides: tuple[int, int]) -> pyvips.Image:
    if _sides(picture) == sides:
        return picture
    return vips.evaluate(picture.resize(sides[0] / picture.width, vscale=sides[1] / picture.height))


def score(one: pyvips.Image, other: pyvips.Image) -> float | None:
    """Return the mean SSIMULACRA2 of the parts that differ most; None for images that are too small."""
    if min(one.width, one.height) < LEAST_SIDE:
        return None
    parts = sorted(((_difference(one.crop(*box), other.crop(*box)), box) for box in _boxes(one)), reverse=True)[:TILES]
    scores = [_score(one.crop(*box), other.crop(*box)) if difference else 100.0 for difference, box in parts]
    return round(sum(scores) / len(scores), 2)


def _boxes(picture: pyvips.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield parts of at most `TILE_SIDE` pixels a side, as even as possible: a narrow rest would distort the score."""
    for top, bottom in _cuts(picture.height):
        for left, right in _cuts(picture.width):
            yield left, top, right - left, bottom - top


def _cuts(side: int) -> Iterator[tuple[int, int]]:
    count = -(-side // TILE_SIDE)
    for number in range(count):
        yield side * number // count, side * (number + 1) // count


def _difference(one: pyvips.Image, other: pyvips.Image) -> float:
    return float((one - other).abs().avg())


def _score(one: pyvips.Image, other: pyvips.Image) -> float:
    return ssimulacra2(one.numpy(), other.numpy())


def _flatten(picture: pyvips.Image) -> pyvips.Image:
    """Convert to RGB without alpha, on a grey background."""
    picture = picture.colourspace("srgb")
    return picture.flatten(background=[BACKGROUND]) if picture.hasalpha() else picture


def _coarse(picture: pyvips.Image) -> pyvips.Image:
    return vips.evaluate(
        picture.resize(THUMBNAIL_SIDE / picture.width, vscale=THUMBNAIL_SIDE / picture.height, kernel="linear")
    )


def _turn(old: Picture, new: Picture) -> str:
    """Return how the new image is rotated or mirrored, if undoing that makes it far more similar to the old one."""
    one, other = _coarse(old.shown), _coarse(new.shown)
    differences = {name: _colour_difference(one, undo(other)) for name, undo in ROTATIONS.items()}
    best = min(differences, key=lambda name: differences[name])
    is_clear = differences[""] > MIN_ROTATION_DIFFERENCE and differences[best] < _HALF * differences[""]
    return best if is_clear else ""


def _colour_difference(one: pyvips.Image, other: pyvips.Image) -> float:
    return float(one.colourspace("lab").dE00(other.colourspace("lab")).avg())


def _profile(old: Picture, new: Picture, difference: float) -> Literal["", "old", "new"]:
    """Return the side whose raw values match the other side's colours when read with a different profile."""
    if difference < MIN_DIFFERENCE:
        return ""
    left = {
        "old": _remaining_difference(old.numbers, _coarse(new.shown), new.profile),
        "new": _remaining_difference(new.numbers, _coarse(old.shown), old.profile),
    }
    side: Literal["old", "new"] = "old" if left["old"] < left["new"] else "new"
    return side if left[side] < _HALF * difference else ""


def _remaining_difference(numbers: pyvips.Image, shown: pyvips.Image, profile: bytes | None) -> float:
    """Return the difference that is left when `numbers` are read with `profile`, or with Display P3 if it is None.

    The result is infinite if the profile cannot be applied.
    """
    try:
        if profile is None:
            read = numbers.icc_transform("srgb", input_profile=_WIDE, embedded=False, intent="relative")
        else:
            read = vips.with_profile(numbers, profile).icc_transform("srgb", embedded=True, intent="relative")
        return _colour_difference(colour.without_profile(read), shown)
    except vips.Error:  # the profile is invalid, or is for CMYK
        return float("inf")


def _detail(picture: pyvips.Image) -> float:
    """Return how much detail a blur of 1.5 pixels removes, in levels."""
    grey = picture.colourspace("b-w")
    return max(LEAST_DETAIL, float((grey - grey.gaussblur(1.5)).abs().avg()))


def _difference_hash(picture: pyvips.Image) -> int:
    """Return a 64-bit hash of where the image gets darker from one of 9 x 8 parts to the next.

    The algorithm is N. Krawetz's "dHash" (2013).
    """
    grey = picture.colourspace("b-w")
    small = grey.resize(9 / grey.width, vscale=8 / grey.height, kernel="linear")
    darker = small.crop(0, 0, 8, 8) > small.crop(1, 0, 8, 8)
    return int("".join("1" if level else "0" for level in bytes(darker.write_to_memory())), 2)
