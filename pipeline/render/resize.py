"""Resizing: one decode, then each requested image is shrunk from a larger one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.decode.original import first_frame
from pipeline.heap import release_memory
from pipeline.image import colour
from pipeline.image.transfer_curve import TOP, TransferCurve, convert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyvips

    from pipeline.decode.original import Original

_MAX_EXACT_REDUCTION = 10
"""The largest reduction for which Lanczos reads every pixel.

By default libvips would start with a plain average of some pixels, which costs small images up to 4 points of
SSIMULACRA2. Far beyond this reduction, the kernel has more taps than its integers can balance.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeStep:
    """A requested image, by its dimensions as stored; if `is_source`, the next ones are shrunk from it."""

    sides: tuple[int, int]
    is_source: bool
    is_large: bool


@dataclass(frozen=True, slots=True)
class _Intermediate:
    image: pyvips.Image
    curve: TransferCurve


def resize_all(
    original: Original,
    steps: Sequence[ResizeStep],
    *,
    to_colour: Callable[[pyvips.Image], pyvips.Image] = colour.to_rgb,
) -> Iterator[pyvips.Image]:
    """Yield the image of each step, in memory; `steps` must be sorted from the largest down.

    Only the first image is decoded from the file; `to_colour` is applied before it is shrunk. Each other image is
    shrunk from the last source before it, or from the first image. So an image depends on the steps before it and on
    nothing else.

    Raises:
        Refused: the original cannot be rendered; raised before the first image, never after it.
    """
    if not steps:
        return
    source = _first(original, steps[0], to_colour)
    yield _to_srgb_8_bit(source)
    for step in steps[1:]:
        release_memory()
        held = _resize_from(source, step)
        source = held if step.is_source else source  # before the yield, to free the larger image
        yield _to_srgb_8_bit(held)


def resize_frame(image: pyvips.Image, sides: tuple[int, int]) -> pyvips.Image:
    """Shrink a separate image, such as a frame of an animation, in linear light."""
    return _to_srgb_8_bit(
        _resize_from(_Intermediate(image, TransferCurve.SRGB), ResizeStep(sides=sides, is_source=False, is_large=False))
    )


def _first(original: Original, step: ResizeStep, to_colour: Callable[[pyvips.Image], pyvips.Image]) -> _Intermediate:
    """Decode and shrink to the first step; an image as large as the original stays identical to the last bit."""
    if step.sides == (original.header.width, original.header.height):
        image = first_frame(original, to_colour, sides=step.sides)
        return _Intermediate(colour.without_opaque_alpha(image), TransferCurve.SRGB)

    def through(image: pyvips.Image) -> pyvips.Image:
        picture = to_colour(image)
        return _resized(convert(picture, TransferCurve.SRGB, _curve_for(picture, step)), step.sides)

    image = first_frame(original, through, sides=step.sides)
    return _Intermediate(
        colour.without_opaque_alpha(image), TransferCurve.CURVE if image.format == "uchar" else TransferCurve.LINEAR
    )


def _resize_from(source: _Intermediate, step: ResizeStep) -> _Intermediate:
    if step.sides == (source.image.width, source.image.height):
        return source
    curve = _curve_for(source.image, step)
    image = convert(source.image, source.curve, curve)
    return _Intermediate(_resized(image, step.sides, is_exact=curve is TransferCurve.LINEAR).copy_memory(), curve)


def _curve_for(image: pyvips.Image, step: ResizeStep) -> TransferCurve:
    """Return the transfer curve for a step: large images take the most time, small ones show errors the most."""
    is_plain = image.format == "uchar" and not image.hasalpha()
    return TransferCurve.CURVE if step.is_large and is_plain else TransferCurve.LINEAR


def _to_srgb_8_bit(held: _Intermediate) -> pyvips.Image:
    if held.curve is TransferCurve.SRGB:
        return colour.to_8_bit(held.image)
    return convert(held.image, held.curve, TransferCurve.SRGB)


def _resized(image: pyvips.Image, sides: tuple[int, int], *, is_exact: bool = False) -> pyvips.Image:
    """Shrink to exactly these dimensions with Lanczos3; colours are weighted by their opacity.

    16 bits are shrunk in floating point, which is faster in libvips than integers. Integers are clipped at black and
    white between the horizontal and the vertical pass, which costs up to 3 points of SSIMULACRA2.
    """
    hscale, vscale = sides[0] / image.width, sides[1] / image.height
    options = {"gap": 0} if is_exact and min(hscale, vscale) * _MAX_EXACT_REDUCTION >= 1 else {}
    if not image.hasalpha():
        exact = image if image.format == "uchar" else image.cast("float")
        return exact.resize(hscale, vscale=vscale, **options).cast(image.format)
    top = TOP[image.format]
    weighed = image.premultiply(max_alpha=top).resize(hscale, vscale=vscale, **options)
    return weighed.unpremultiply(max_alpha=top).cast(image.format)
