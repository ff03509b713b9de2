"""Original plus sizes to derivatives: one decode, then a list of steps, one function each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import colour, metadata, vips
from pipeline.formats import WRITABLE, output
from pipeline.original import first_frame, frames, open_original
from pipeline.probe import describe
from pipeline.size import Size, render_profile
from pipeline.wire import Derived, Rendered

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyvips

    from pipeline.formats import Writable
    from pipeline.original import Original
    from pipeline.wire import Limits, Render

_WHITE = 255.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the steps make of a picture; pixels are counted as the file stores them, before it is turned upright."""

    size: Size
    cover: tuple[int, int]
    box: tuple[int, int]
    moves: bool


def render(question: Render) -> Derived:
    """Render the wanted sizes of an original from one decode.

    Every derivative is made from one shared picture: the original shrunk to the largest that the whole recipe needs.
    It depends on the recipe, never on what is wanted, so the bytes of a derivative do not either.

    Raises:
        Refused: what is wrong with the original.
    """
    original = open_original(Path(question.path))
    info = describe(original, limits=question.limits, sizes=question.sizes)
    targets = [_target(original, size, question.limits) for size in question.sizes]
    wanted = [target for target in targets if not question.wanted or target.size.name in question.wanted]
    film = frames(original) if any(target.moves for target in wanted) else []
    shared = _shared(original, targets) if any(not target.moves for target in wanted) else None
    return Derived(
        info=info,
        derivatives=tuple(_derive(original, film if target.moves else [shared], target, question) for target in wanted),
    )


def fit(image: pyvips.Image, target: Target) -> pyvips.Image:
    """Shrink the picture in linear light; one that has the dimensions already is taken as it is."""
    if (image.width, image.height) == target.cover:
        return colour.to_8_bit(image)
    return colour.to_gamma(_resize(colour.to_linear(image), target.cover))


def crop(image: pyvips.Image, target: Target) -> pyvips.Image:
    """Cut off what hangs over the box; the frames of an animation all alike, or the picture would jump."""
    if target.cover == target.box:
        return image
    position = "centre" if target.moves else target.size.position
    return image.copy_memory().smartcrop(*target.box, interesting=position)


def turn(image: pyvips.Image, _: Target) -> pyvips.Image:
    """Set the picture upright; turned by columns, so what would be computed line by line is computed first."""
    if metadata.orientation(image) == metadata.UPRIGHT:
        return image
    return metadata.upright(image.copy_memory())


def recolour(image: pyvips.Image, target: Target) -> pyvips.Image:
    """Convert a wide gamut to sRGB, where it is not to be kept."""
    return image if target.size.gamut == "keep" else colour.to_srgb(image)


STEPS = (fit, crop, turn, recolour)
"""From the shared picture to a derivative's pixels, in this order."""


def _target(original: Original, size: Size, limits: Limits) -> Target:
    width, height = original.sides
    return Target(
        size=size,
        cover=original.as_stored(size.cover(width=width, height=height)),
        box=original.as_stored(size.dimensions(width=width, height=height)),
        moves=size.animate
        and original.readable.animates
        and 1 < original.frames <= limits.animation_pixels // (width * height),
    )


def _shared(original: Original, targets: Sequence[Target]) -> pyvips.Image:
    """Decode once, shrink, and hold in memory what every still derivative is made from."""
    cover = max(target.cover for target in targets)
    image = first_frame(original, lambda image: _resize(colour.to_rgb(image), cover), sides=cover)
    return colour.without_idle_alpha(image)


def _resize(image: pyvips.Image, sides: tuple[int, int]) -> pyvips.Image:
    """Shrink to exactly these sides with Lanczos3; colours weigh as much as they are opaque."""
    width, height = sides
    if (image.width, image.height) == sides:
        return image
    scale, vscale = width / image.width, height / image.height
    if not image.hasalpha():
        return image.resize(scale, vscale=vscale)
    top = colour.TOP[image.format]
    weighed = image.premultiply(max_alpha=top).resize(scale, vscale=vscale)
    return weighed.unpremultiply(max_alpha=top).cast(image.format)


def _derive(original: Original, pictures: Sequence[pyvips.Image], target: Target, question: Render) -> Rendered:
    """Take the picture, or each frame of an animation, through the steps, and write what comes of it."""
    made = [_stepped(picture, target) for picture in pictures]
    has_alpha = bool(made[0].hasalpha())
    writable = WRITABLE["webp"] if target.moves else output(original.readable, target.size, has_alpha=has_alpha)
    path = Path(question.folder) / f"{target.size.name}{writable.extension}"
    _save(vips.film(made) if target.moves else made[0], path, original, target, writable)
    return Rendered(
        size=target.size.name,
        path=str(path),
        width=made[0].width,
        height=made[0].height,
        bytes=path.stat().st_size,
        content_type=writable.content_type,
        profile=render_profile(target.size, among=question.sizes, libvips=vips.VERSION),
    )


def _stepped(picture: pyvips.Image, target: Target) -> pyvips.Image:
    """Take a picture through the steps; a frame at once, because a hundred unfinished ones hold a hundred caches."""
    for step in STEPS:
        picture = step(picture, target)
    return picture.copy_memory() if target.moves else picture


def _save(image: pyvips.Image, path: Path, original: Original, target: Target, writable: Writable) -> None:
    """Write the picture with what of its metadata the size keeps: a wide gamut's profile, its owner's name."""
    if image.hasalpha() and not writable.holds_alpha:
        image = image.flatten(background=[_WHITE])
    owner = metadata.owner(original.header) if target.size.keep_copyright else {}
    vips.save(
        vips.with_text(image, owner),
        writable.saver,
        path,
        keep=vips.keep(texts=bool(owner), profile=target.size.gamut == "keep" and colour.is_wide(image)),
        **writable.options(target.size),
    )
