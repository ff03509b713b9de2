"""Resizing: one decode, then each requested image is shrunk from a larger one, in linear light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.decode.original import first_frame
from pipeline.heap import release_memory
from pipeline.image import colour, vips
from pipeline.image.transfer_curve import TOP, TransferCurve, convert
from pipeline.kernel.reduction import chain, reduce

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


@dataclass(frozen=True, slots=True)
class _Intermediate:
    image: pyvips.Image
    curve: TransferCurve


def resize_all(
    original: Original,
    steps: Sequence[ResizeStep],
    *,
    to_colour: Callable[[pyvips.Image], pyvips.Image] = colour.to_rgb,
    keeps_gamut: bool = True,
) -> Iterator[pyvips.Image]:
    """Yield the image of each step, in memory; `steps` must be sorted from the largest down.

    `to_colour` is applied before the original is shrunk. Unless some size `keeps_gamut`, a wide gamut is converted to
    sRGB where a matrix does that; otherwise the images have the gamut and the profile of the original.

    The first image is shrunk from the original, and each other image from the last source before it, or from the first
    image. So an image depends on the steps before it and on nothing else.

    Raises:
        Refused: the original cannot be rendered; raised before the first image, never after it.
    """
    if not steps:
        return iter(())
    if original.is_plain:
        return _reduce_all(original, steps, to_colour, keeps_gamut=keeps_gamut)
    return _resize_all(original, steps, to_colour)


def resize_frame(image: pyvips.Image, sides: tuple[int, int]) -> pyvips.Image:
    """Shrink a separate image, such as a frame of an animation, in linear light."""
    return _to_srgb_8_bit(_resize_from(_Intermediate(image, TransferCurve.SRGB), sides))


def _reduce_all(
    original: Original,
    steps: Sequence[ResizeStep],
    to_colour: Callable[[pyvips.Image], pyvips.Image],
    *,
    keeps_gamut: bool,
) -> Iterator[pyvips.Image]:
    """Make all images in one pass over the lines of the original, then yield each one without keeping it."""

    def reduced(image: pyvips.Image) -> list[pyvips.Image]:
        shown = to_colour(image)
        matrix = None if keeps_gamut else colour.matrix_to_srgb(shown)
        wanted = chain((step.sides, step.is_source) for step in steps)
        made = reduce((shown.width, shown.height), shown.bands, wanted, vips.strips(shown), matrix=matrix)
        like = colour.without_profile(shown) if matrix else shown
        return [vips.from_samples(pixels, step.sides, like=like) for pixels, step in zip(made, steps, strict=True)]

    pictures = first_frame(original, reduced, sides=steps[0].sides)[::-1]
    release_memory()
    while pictures:
        yield pictures.pop()


def _resize_all(
    original: Original, steps: Sequence[ResizeStep], to_colour: Callable[[pyvips.Image], pyvips.Image]
) -> Iterator[pyvips.Image]:
    """Make the images one by one with libvips: with alpha, or with 16 bits."""
    source = _first(original, steps[0], to_colour)
    yield _to_srgb_8_bit(source)
    for step in steps[1:]:
        release_memory()
        held = _resize_from(source, step.sides)
        source = held if step.is_source else source  # before the yield, to free the larger image
        yield _to_srgb_8_bit(held)


def _first(original: Original, step: ResizeStep, to_colour: Callable[[pyvips.Image], pyvips.Image]) -> _Intermediate:
    """Decode and shrink to the first step; an image as large as the original stays identical to the last bit."""
    is_whole = step.sides == (original.header.width, original.header.height)

    def shrunk(image: pyvips.Image) -> pyvips.Image:
        picture = to_colour(image)
        if not is_whole:
            picture = _resized(convert(picture, TransferCurve.SRGB, TransferCurve.LINEAR), step.sides)
        return vips.evaluate(picture)

    image = colour.without_opaque_alpha(first_frame(original, shrunk, sides=step.sides))
    return _Intermediate(image, TransferCurve.SRGB if is_whole else TransferCurve.LINEAR)


def _resize_from(source: _Intermediate, sides: tuple[int, int]) -> _Intermediate:
    if sides == (source.image.width, source.image.height):
        return source
    image = convert(source.image, source.curve, TransferCurve.LINEAR)
    return _Intermediate(_resized(image, sides, is_exact=True).copy_memory(), TransferCurve.LINEAR)


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
        return image.cast("float").resize(hscale, vscale=vscale, **options).cast(image.format)
    top = TOP[image.format]
    weighed = image.premultiply(max_alpha=top).resize(hscale, vscale=vscale, **options)
    return weighed.unpremultiply(max_alpha=top).cast(image.format)
