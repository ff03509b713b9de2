"""Paints photographs with known colours, for demonstrations and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyvips

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CORNERS = ((200, 40, 40), (40, 160, 60), (50, 70, 190), (230, 200, 60))
"""Red, green, blue, yellow in sRGB: top left, top right, bottom left, bottom right of the upright picture."""

GPS = {
    "exif-ifd3-GPSVersionID": "2 3 0 0",
    "exif-ifd3-GPSLatitudeRef": "N",
    "exif-ifd3-GPSLatitude": "47/1 22/1 3000/100",
    "exif-ifd3-GPSLongitudeRef": "E",
    "exif-ifd3-GPSLongitude": "8/1 32/1 2400/100",
}
CAMERA = {
    "exif-ifd0-Make": "Painted",
    "exif-ifd0-Model": "Gall Camera",
    "exif-ifd0-Artist": "A. Painter",
    "exif-ifd0-Copyright": "Nobody at all",
}

_LAID_DOWN: dict[int, Callable[[pyvips.Image], pyvips.Image]] = {
    1: lambda upright: upright,
    2: lambda upright: upright.fliphor(),
    3: lambda upright: upright.rot180(),
    4: lambda upright: upright.flipver(),
    5: lambda upright: upright.rot90().fliphor(),
    6: lambda upright: upright.rot270(),
    7: lambda upright: upright.rot270().fliphor(),
    8: lambda upright: upright.rot90(),
}
"""The transformation from the upright picture to the stored one, by EXIF orientation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """What to paint: `width` x `height` pixels of the upright picture, noise as one sigma in levels."""

    width: int = 4000
    height: int = 3000
    orientation: int = 1
    gps: bool = False
    noise: float = 0
    seed: int = 1


def paint(path: Path, photograph: Photograph | None = None, **options: float | str | bool) -> None:
    """Write a photograph to `path`, in the format of its extension; `options` are passed to libvips' saver.

    Equal photographs have equal bytes.
    """
    asked = photograph or Photograph()
    _stored(asked).write_to_file(str(path), **options)


def _stored(photograph: Photograph) -> pyvips.Image:
    picture = _LAID_DOWN[photograph.orientation](pixels(photograph)).copy(interpretation="srgb")
    fields = CAMERA | (GPS if photograph.gps else {})
    for name, value in fields.items():
        picture.set_type(pyvips.GValue.gstr_type, name, value)
    picture.set_type(pyvips.GValue.gint_type, "orientation", photograph.orientation)
    return picture


def pixels(photograph: Photograph) -> pyvips.Image:
    """Return the upright picture: a quarter in each corner's colour, with noise on top."""
    corners = pyvips.Image.new_from_memory(bytes(sum(CORNERS, ())), 2, 2, 3, "uchar")
    wide, high = -(-photograph.width // 2), -(-photograph.height // 2)
    picture = corners.zoom(wide, high).crop(0, 0, photograph.width, photograph.height)
    if not photograph.noise:
        return picture
    noise = pyvips.Image.gaussnoise(
        photograph.width, photograph.height, mean=0, sigma=photograph.noise, seed=photograph.seed
    )
    return (picture + noise).cast("uchar")
