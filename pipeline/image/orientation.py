"""The EXIF orientation of an image: read, and applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.image import vips

if TYPE_CHECKING:
    import pyvips

UPRIGHT = 1
"""The EXIF orientation of an image that needs no rotation."""

_FIRST_SWAPPED = 5
"""EXIF orientations 5 to 8 swap rows and columns."""


def read(image: pyvips.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if the tag is missing or invalid."""
    value = vips.number(image, "orientation", default=UPRIGHT)
    return value if 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004 - EXIF defines eight orientations


def swaps_sides(orientation: int) -> bool:
    """Return whether this orientation swaps the stored width and height."""
    return orientation >= _FIRST_SWAPPED


def upright(image: pyvips.Image) -> pyvips.Image:
    """Rotate and mirror the image according to its EXIF orientation."""
    return image.autorot()
