"""Sizes that keep the dimensions of the original: copied without metadata if possible, otherwise rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.decode import copying
from pipeline.decode.memory_model import rendering_bytes
from pipeline.errors import NeedsTooMuchMemory

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.decode.original import Original
    from pipeline.size import Size


def copy_pixels(original: Original, path: Path, *, animation_pixels: int) -> bool:
    """Write the original without metadata to `path`; return whether it was written, and shows the same picture.

    Raises:
        Refused: the original is damaged.
    """
    copy = copying.copied(original, animation_pixels=animation_pixels)
    if copy is None:
        return False
    try:
        copy.write(path)
    except EOFError:
        return False
    return copying.shows_the_same(original, path) and copying.has_no_rest(original, copy)


def check_memory(original: Original, size: Size, *, animation_pixels: int, most_bytes: int) -> None:
    """Raise an error unless the original can be rendered with the memory that was predicted, perhaps for a copy.

    Raises:
        NeedsTooMuchMemory: it cannot.
    """
    if rendering_bytes(original, [size], animation_pixels=animation_pixels) > most_bytes:
        raise NeedsTooMuchMemory(sentences.NO_COPY)
