"""What a file consists of once its metadata is removed: parts that were parsed, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.strip import bare_jpeg, bare_png, bare_webp
from pipeline.strip.bare_profile import bare_profile

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.formats.spliced import Spliced

_COPIERS = {"jpeg": bare_jpeg.copied, "png": bare_png.copied, "webp": bare_webp.copied}
"""The functions that return the parts of a file that its copy has, by the names of the formats."""


def copied(path: Path, name: str, profile: bytes | None) -> Spliced | None:
    """Return the file without metadata, as parts of it; None if it is not certain that they show the same picture.

    The parts are not decoded here. So the file must be, and the copy as well, before the copy is published.

    Args:
        path: the file.
        name: the name of its format.
        profile: the ICC profile that its decoder has found, without what is no profile of its colours.
    """
    bare = bare_profile(profile) if profile else b""
    if name not in _COPIERS or bare is None:
        return None
    return _COPIERS[name](path, bare)


def has_exact_pixels(path: Path, name: str) -> bool:
    """Return whether a file has as many pixels as it declares and no more, where its decoder does not check it."""
    return name != "png" or bare_png.has_exact_pixels(path)
