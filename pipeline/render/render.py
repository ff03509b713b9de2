"""Rendering of derivatives from an original: resizing, then the same list of steps for every image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.decode.original import frames, open_original
from pipeline.decode.probe import describe
from pipeline.formats.registry import WRITABLE, highest, output
from pipeline.image import colour, orientation, vips
from pipeline.protocol import Derived, Rendered
from pipeline.render.resize import ResizeStep, resize_all, resize_frame
from pipeline.render.save import save
from pipeline.size import Size, render_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyvips

    from pipeline.decode.original import Original
    from pipeline.protocol import Render


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A size applied to one original; dimensions are in pixels as stored, before the orientation is applied."""

    size: Size
    cover: tuple[int, int]
    box: tuple[int, int]
    is_animated: bool
    is_wanted: bool
    profile: str
    folder: Path

    def is_whole(self, original: Original) -> bool:
        """Return whether the derivative has the very pixels of the original, if its colours need no conversion."""
        sides = (original.header.width, original.header.height)
        return self.cover == sides == self.box and original.is_upright and not self.is_animated


def render(question: Render) -> Derived:
    """Render the wanted sizes of an original.

    How a size is rendered depends on the original and on the whole recipe, never on which sizes are wanted. So a
    derivative has the same bytes whichever sizes are requested with it. All still sizes share one decode; animations,
    and 16-bit originals whose gamut is kept, are decoded separately.

    Raises:
        Refused: the original cannot be rendered.
    """
    original = open_original(Path(question.path), limits=question.limits)
    info = describe(original, limits=question.limits, sizes=question.sizes)
    targets = [_target(original, size, question) for size in question.sizes]
    made = {
        derivative.size: derivative for derivative in (*_stills(original, targets), *_animations(original, targets))
    }
    return Derived(info=info, derivatives=tuple(made[size.name] for size in question.sizes if size.name in made))


def crop(image: pyvips.Image, target: Target) -> pyvips.Image:
    """Crop the image to the box; in animations every frame at the centre, or the image would jump."""
    if target.cover == target.box:
        return image
    position = "centre" if target.is_animated else target.size.position
    return image.smartcrop(*target.box, interesting=position)


def apply_orientation(image: pyvips.Image, _: Target) -> pyvips.Image:
    """Rotate the image upright; columns may become rows, so the image must be in memory already."""
    return orientation.upright(image)


def convert_gamut(image: pyvips.Image, target: Target) -> pyvips.Image:
    """Convert a wide gamut to sRGB, unless the size keeps it."""
    return image if colour.keeps_profile(image, target.size.gamut) else colour.to_srgb(image)


STEPS = (crop, apply_orientation, convert_gamut)
"""The steps from an image of the right dimensions to a derivative's pixels, in this order."""


def _target(original: Original, size: Size, question: Render) -> Target:
    width, height = original.sides
    most = highest(original.readable, size, has_alpha=bool(original.header.hasalpha()))
    most_frames = question.limits.animation_pixels // (width * height)
    return Target(
        size=size,
        cover=original.as_stored(size.cover(width=width, height=height, highest=most)),
        box=original.as_stored(size.dimensions(width=width, height=height, highest=most)),
        is_animated=size.animate and original.readable.animates and 1 < original.frames <= most_frames,
        is_wanted=not question.wanted or size.name in question.wanted,
        profile=render_profile(size, among=question.sizes, libvips=vips.VERSION),
        folder=Path(question.folder),
    )


def _stills(original: Original, targets: Sequence[Target]) -> Iterator[Rendered]:
    """Yield the wanted derivatives of the first frame.

    For 16-bit originals, the sizes that keep the gamut are rendered from a decode of their own.
    """
    is_deep = original.header.format != "uchar"
    kept = [target for target in targets if is_deep and target.size.gamut == "keep"]
    yield from _render_chain(original, kept, colour.to_rgb)
    shown = _srgb if is_deep else colour.to_rgb
    yield from _render_chain(original, [target for target in targets if target not in kept], shown)


def _srgb(image: pyvips.Image) -> pyvips.Image:
    return colour.to_srgb(colour.to_rgb(image))


def _render_chain(
    original: Original, targets: Sequence[Target], to_colour: Callable[[pyvips.Image], pyvips.Image]
) -> Iterator[Rendered]:
    """Yield the wanted derivatives of one chain of sizes, the largest first."""
    chain = sorted((target for target in targets if not target.is_animated), key=_sort_key, reverse=True)
    while chain and not chain[-1].is_wanted:
        chain.pop()
    steps = [target for target in chain if target.is_wanted or target.size.is_source or target is chain[0]]
    pictures = resize_all(original, [_step(target) for target in steps], to_colour=to_colour)
    for target, picture in zip(steps, pictures, strict=True):
        if target.is_wanted:
            yield _write(original, target, [_apply_steps(picture, target)])


def _step(target: Target) -> ResizeStep:
    return ResizeStep(sides=target.cover, is_source=target.size.is_source, is_large=target.size.is_large)


def _sort_key(target: Target) -> tuple[tuple[int, int], bool]:
    """Return the sort key of a target within a chain: the dimensions, then whether the size is a source."""
    return target.cover, target.size.is_source


def _animations(original: Original, targets: Sequence[Target]) -> Iterator[Rendered]:
    """Yield the wanted animated derivatives.

    Each frame is computed at once, because a hundred pending ones would hold as many caches.
    """
    moving = [target for target in targets if target.is_animated and target.is_wanted]
    join_frames = frames(original) if moving else []
    for target in moving:
        yield _write(
            original,
            target,
            [_apply_steps(resize_frame(frame, target.cover), target).copy_memory() for frame in join_frames],
        )


def _write(original: Original, target: Target, made: Sequence[pyvips.Image]) -> Rendered:
    """Write the finished image, or the frames of an animation, in the format of the size."""
    has_alpha = bool(made[0].hasalpha())
    writable = WRITABLE["webp"] if target.is_animated else output(original.readable, target.size, has_alpha=has_alpha)
    path = target.folder / f"{target.size.name}{writable.extension}"
    picture = vips.join_frames(made) if target.is_animated else made[0]
    save(picture, path, original, target.size, writable, is_whole=target.is_whole(original))
    return Rendered(
        size=target.size.name,
        path=str(path),
        width=made[0].width,
        height=made[0].height,
        bytes=path.stat().st_size,
        content_type=writable.content_type,
        profile=target.profile,
    )


def _apply_steps(picture: pyvips.Image, target: Target) -> pyvips.Image:
    for step in STEPS:
        picture = step(picture, target)
    return picture
