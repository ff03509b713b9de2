"""Rendering of derivatives from an original: resizing, then the same list of steps for every image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.decode.memory_model import held_bytes
from pipeline.decode.original import frames, open_original
from pipeline.decode.probe import describe
from pipeline.formats.registry import WRITABLE, highest, output
from pipeline.image import colour, orientation, vips
from pipeline.protocol import Made
from pipeline.render.preview import preview
from pipeline.render.resize import ResizeStep, resize_all, resize_frame
from pipeline.render.save import save
from pipeline.size import base_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyvips

    from pipeline.decode.original import Original
    from pipeline.protocol import Render
    from pipeline.size import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A size applied to one original; dimensions are in pixels as stored, before the orientation is applied."""

    size: Size
    cover: tuple[int, int]
    box: tuple[int, int]
    is_animated: bool
    is_wanted: bool
    is_base: bool
    path: Path

    def is_whole(self, original: Original) -> bool:
        """Return whether the derivative has the very pixels of the original, if its colours need no conversion."""
        sides = (original.header.width, original.header.height)
        return self.cover == sides == self.box and original.is_upright and not self.is_animated


class Rendering:
    """An opened original, and the derivatives wanted of it.

    How a size is rendered depends on the original and on the whole recipe, never on which sizes are wanted, nor on
    their order. So a derivative has the same bytes whichever sizes are requested with it. All still sizes share one
    decode; animations, and 16-bit originals whose gamut is kept, are decoded separately.
    """

    def __init__(self, question: Render) -> None:
        """Open the original and read its header.

        Raises:
            Refused: the original cannot be rendered.
        """
        self._original = open_original(Path(question.path), limits=question.limits)
        base = base_size(question.sizes) if question.sizes else None
        self._targets = [_target(self._original, size, question, is_base=size is base) for size in question.sizes]
        self.info = describe(self._original, limits=question.limits, sizes=question.sizes)
        self.first_bytes = held_bytes(self._original, question.sizes, question.first)

    def run(self, *, first: str = "") -> Iterator[Made]:
        """Render the derivatives, and yield each size once its file is complete, the base size with a preview.

        The size `first` is written before all others of its chain. Larger images wait for it in memory, which takes
        `first_bytes` at most.

        Raises:
            Refused: the original cannot be rendered.
        """
        stills = [target for target in self._targets if not target.is_animated]
        moving = [target for target in self._targets if target.is_animated and target.is_wanted]
        is_deep = self._original.header.format != "uchar"
        to_colour = _srgb if is_deep else colour.to_rgb
        kept = [target for target in stills if is_deep and target.size.gamut == "keep"]
        shown = [target for target in stills if target not in kept]
        # Of the whole recipe, so that a derivative does not depend on the sizes that are wanted.
        keeps_gamut = any(target.size.gamut == "keep" for target in self._targets)
        parts = [
            (kept, _render_chain(self._original, kept, colour.to_rgb, first, keeps_gamut=True)),
            (shown, _render_chain(self._original, shown, to_colour, first, keeps_gamut=keeps_gamut)),
            (moving, _animations(self._original, moving, first)),
        ]
        parts.sort(key=lambda part: not _is_among(first, part[0]))
        for _, made in parts:
            yield from made


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


def _target(original: Original, size: Size, question: Render, *, is_base: bool) -> Target:
    width, height = original.sides
    most = highest(original.readable, size, has_alpha=bool(original.header.hasalpha()))
    most_frames = question.limits.animation_pixels // (width * height)
    return Target(
        size=size,
        cover=original.as_stored(size.cover(width=width, height=height, highest=most)),
        box=original.as_stored(size.dimensions(width=width, height=height, highest=most)),
        is_animated=size.animate and original.readable.animates and 1 < original.frames <= most_frames,
        is_wanted=not question.wanted or size.name in question.wanted,
        is_base=is_base,
        path=Path(question.folder, size.name),
    )


def _srgb(image: pyvips.Image) -> pyvips.Image:
    return colour.to_srgb(colour.to_rgb(image))


def _is_among(name: str, targets: Sequence[Target]) -> bool:
    return any(target.size.name == name and target.is_wanted for target in targets)


def _render_chain(
    original: Original,
    targets: Sequence[Target],
    to_colour: Callable[[pyvips.Image], pyvips.Image],
    first: str,
    *,
    keeps_gamut: bool,
) -> Iterator[Made]:
    """Write the wanted derivatives of one chain of sizes, `first` before all others, then the largest first."""
    chain = sorted(targets, key=_sort_key, reverse=True)
    while chain and not chain[-1].is_wanted:
        chain.pop()
    steps = [target for target in chain if target.is_wanted or target.size.is_source or target is chain[0]]
    resized = [_step(target) for target in steps]
    pictures = resize_all(original, resized, to_colour=to_colour, keeps_gamut=keeps_gamut)
    held: list[tuple[Target, pyvips.Image]] = []
    is_ahead = _is_among(first, steps)
    for target, picture in zip(steps, pictures, strict=True):
        is_ahead = is_ahead and target.size.name != first
        if target.is_wanted:
            held.insert(0 if target.size.name == first else len(held), (target, picture))
        while held and not is_ahead:
            made = _write(original, held[0][0], [_apply_steps(held[0][1], held[0][0])])
            del held[0]  # before the size is reported, to free the image
            yield made


def _step(target: Target) -> ResizeStep:
    return ResizeStep(sides=target.cover, is_source=target.size.is_source)


def _sort_key(target: Target) -> tuple[tuple[int, int], bool]:
    """Return the sort key of a target within a chain: the dimensions, then whether the size is a source."""
    return target.cover, target.size.is_source


def _animations(original: Original, moving: Sequence[Target], first: str) -> Iterator[Made]:
    """Write the animated derivatives, `first` before all others.

    Each frame is computed at once, because a hundred pending ones would hold as many caches.
    """
    join_frames = frames(original) if moving else []
    for target in sorted(moving, key=lambda target: target.size.name != first):
        yield _write(
            original,
            target,
            [_apply_steps(resize_frame(frame, target.cover), target).copy_memory() for frame in join_frames],
        )


def _write(original: Original, target: Target, made: Sequence[pyvips.Image]) -> Made:
    """Write the finished image, or the frames of an animation, in the format of the size."""
    has_alpha = bool(made[0].hasalpha())
    writable = WRITABLE["webp"] if target.is_animated else output(original.readable, target.size, has_alpha=has_alpha)
    picture = vips.join_frames(made) if target.is_animated else made[0]
    save(picture, target.path, original, target.size, writable, is_whole=target.is_whole(original))
    return Made(size=target.size.name, preview=preview(made[0]) if target.is_base else None)


def _apply_steps(picture: pyvips.Image, target: Target) -> pyvips.Image:
    for step in STEPS:
        picture = step(picture, target)
    return picture
