"""Comparison of two files that should show the same image, with small copies for the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compare.metadata_leaks import leaks
from pipeline.compare.similarity import ROTATIONS, Picture, decoded, match_dimensions, similarity
from pipeline.decode.original import open_original
from pipeline.decode.probe import describe
from pipeline.errors import Refused
from pipeline.image import vips
from pipeline.protocol import Compare, Compared, Inspected, Refusal

if TYPE_CHECKING:
    import pyvips

    from pipeline.protocol import Limits, Similarity

SMALL_WIDTH, SMALL_HEIGHT = 400, 300
"""Pixels. The box of the small copies for the report: three fit side by side on most screens."""

AMPLIFICATION = 4
"""The factor by which the difference image is amplified; most differences would be invisible otherwise."""

_QUALITY = 72


def compare(question: Compare) -> Compared:
    """Return the properties of both files and the similarity of their images.

    A file that cannot be decoded is returned as a `Refusal`.
    """
    old, old_picture = _seen(question.old, question.limits)
    new, new_picture = _seen(question.new, question.limits)
    folder = Path(question.folder)
    pictures = {name: picture.shown for name, picture in (("old", old_picture), ("new", new_picture)) if picture}
    alike: Similarity | None = None
    if old_picture and new_picture:
        alike = similarity(old_picture, new_picture)
        pictures["difference"] = _difference(old_picture, new_picture, alike.turn)
    return Compared(
        old=old,
        new=new,
        likeness=alike,
        pictures={name: _save_small(picture, folder / f"{name}.webp") for name, picture in pictures.items()},
    )


def _seen(path: str | None, limits: Limits) -> tuple[Inspected | Refusal | None, Picture | None]:
    if path is None:
        return None, None
    try:
        original = open_original(Path(path))
        seen = Inspected(info=describe(original, limits=limits, sizes=()), traces=leaks(original))
        return seen, decoded(original)
    except Refused as refused:
        return Refusal(code=refused.code, detail=str(refused)), None


def _difference(old: Picture, new: Picture, turn: str) -> pyvips.Image:
    one, other = match_dimensions(old.shown, ROTATIONS[turn](new.shown))
    return ((one - other).abs() * AMPLIFICATION).cast("uchar").copy(interpretation="srgb")


def _save_small(picture: pyvips.Image, path: Path) -> str:
    times = min(1.0, SMALL_WIDTH / picture.width, SMALL_HEIGHT / picture.height)
    small = picture.resize(times, vscale=max(times, 1 / picture.height)) if times < 1 else picture
    vips.save(small, "webpsave", path, Q=_QUALITY, effort=2, keep="none")
    return path.name
