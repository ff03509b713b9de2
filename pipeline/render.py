"""Original plus sizes to derivatives: one decode, then a list of steps, one function each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import metadata, vips
from pipeline.formats import Writable, output, recognise
from pipeline.probe import describe
from pipeline.size import Size, render_profile
from pipeline.wire import Derived, Rendered

if TYPE_CHECKING:
    import pyvips

    from pipeline.formats import Readable
    from pipeline.wire import ImageInfo, Render

_WHITE = 255.0
_LEFT_TO_RESIZE = 1.5
"""How much larger than the shared picture a decoder's own shrinking leaves it: a proper kernel does the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the steps make of the shared picture; all pixels as the file stores them, before it is turned upright."""

    size: Size
    cover: tuple[int, int]
    box: tuple[int, int]
    writable: Writable


def render(question: Render) -> Derived:
    """Render the wanted sizes of an original from one decode.

    Every derivative is made from one shared picture: the original shrunk to the largest that the whole recipe needs,
    colours converted. It depends on the recipe, never on what is wanted, so the bytes of a derivative do not either.

    Raises:
        Refused: what is wrong with the original.
    """
    path = Path(question.path)
    readable = recognise(path)
    header = vips.load(readable.loader, path)
    info = describe(header, readable, limits=question.limits, sizes=question.sizes)
    targets = [_target(info, readable, size) for size in question.sizes]
    shared = _shared(header, readable, cover=max(target.cover for target in targets))
    wanted = question.wanted or [size.name for size in question.sizes]
    return Derived(
        info=info,
        derivatives=tuple(_derive(shared, target, question) for target in targets if target.size.name in wanted),
    )


def fit(image: pyvips.Image, target: Target) -> pyvips.Image:
    """Shrink the shared picture in linear light; one that has the dimensions already is taken as it is."""
    if (image.width, image.height) == target.cover:
        return metadata.to_8_bit(image)
    return metadata.to_gamma(_resize(metadata.to_linear(image), target.cover))


def crop(image: pyvips.Image, target: Target) -> pyvips.Image:
    """Cut off what hangs over the box."""
    if target.cover == target.box:
        return image
    return image.copy_memory().smartcrop(*target.box, interesting=target.size.position)


def turn(image: pyvips.Image, _: Target) -> pyvips.Image:
    """Set the picture upright; turned by columns, so what would be computed line by line is computed first."""
    if metadata.orientation(image) == metadata.UPRIGHT:
        return image
    return metadata.upright(image.copy_memory())


def flatten(image: pyvips.Image, target: Target) -> pyvips.Image:
    """Lay the picture on white where the format cannot hold alpha."""
    if target.writable.holds_alpha or not image.hasalpha():
        return image
    return image.flatten(background=[_WHITE])


STEPS = (fit, crop, turn, flatten)
"""From the shared picture to a derivative's pixels, in this order."""


def _target(info: ImageInfo, readable: Readable, size: Size) -> Target:
    cover = size.cover(width=info.width, height=info.height)
    box = size.dimensions(width=info.width, height=info.height)
    is_turned = metadata.is_turned(info.orientation)
    return Target(
        size=size,
        cover=cover[::-1] if is_turned else cover,
        box=box[::-1] if is_turned else box,
        writable=output(readable, size, has_alpha=info.has_alpha),
    )


def _shared(header: pyvips.Image, readable: Readable, *, cover: tuple[int, int]) -> pyvips.Image:
    """Decode once, shrink, and hold in memory what every derivative is made from."""
    shrink = next((n for n in readable.shrinks if header.width >= n * cover[0] * _LEFT_TO_RESIZE), 1)
    image = (
        header if shrink == 1 else vips.load(readable.loader, Path(header.filename), **readable.shrink_option(shrink))
    )
    return vips.hold(metadata.to_srgb(_resize(image, cover)))


def _resize(image: pyvips.Image, sides: tuple[int, int]) -> pyvips.Image:
    """Shrink to exactly these sides with Lanczos3; colours weigh as much as they are opaque."""
    width, height = sides
    if (image.width, image.height) == sides:
        return image
    scale, vscale = width / image.width, height / image.height
    if not image.hasalpha():
        return image.resize(scale, vscale=vscale)
    top = metadata.TOP[image.format]
    weighed = image.premultiply(max_alpha=top).resize(scale, vscale=vscale)
    return weighed.unpremultiply(max_alpha=top).cast(image.format)


def _derive(shared: pyvips.Image, target: Target, question: Render) -> Rendered:
    image = shared
    for step in STEPS:
        image = step(image, target)
    writable = target.writable
    path = Path(question.folder) / f"{target.size.name}{writable.extension}"
    vips.save(image, writable.saver, path, **writable.options(target.size))
    return Rendered(
        size=target.size.name,
        path=str(path),
        width=image.width,
        height=image.height,
        bytes=path.stat().st_size,
        content_type=writable.content_type,
        profile=render_profile(target.size, among=question.sizes, libvips=vips.VERSION),
    )
