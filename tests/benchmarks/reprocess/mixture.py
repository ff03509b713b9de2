"""Painted originals as a site has them: most from phones and cameras, some small, some upright, some progressive."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.paint import Photograph, paint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MEGAPIXELS = {0.5: 10, 2: 15, 5: 15, 8: 20, 12: 25, 16: 8, 24: 7}
"""How many of a hundred originals have so many megapixels; 8.7 in the mean."""

UPRIGHT = 0.2
"""Share held upright by their EXIF orientation alone, as phones do."""

PROGRESSIVE = 0.05
PNG = 0.03
"""Share of PNG among originals of 2 megapixels and less; all others are JPEG."""

NOISE_LEVELS = 6.0
ASPECT = 4 / 3
FOLDERS = 1000
"""The site has a folder for each of its galls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    """A picture that was painted."""

    path: Path
    megapixels: float


def distinct(folder: Path, number: int, *, seed: int = 7) -> list[Painted]:
    """Paint so many pictures, unless they were painted before; the same number gives the same pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)  # noqa: S311 - the same mixture each time, no secret
    drawn = chance.choices([*MEGAPIXELS], weights=[*MEGAPIXELS.values()], k=number)
    return [_painted(folder, place, megapixels, chance) for place, megapixels in enumerate(drawn)]


def _painted(folder: Path, place: int, megapixels: float, chance: random.Random) -> Painted:
    height = round((megapixels * 1e6 / ASPECT) ** 0.5)
    orientation = 6 if chance.random() < UPRIGHT else 1
    is_png = chance.random() < PNG and megapixels <= 2
    options = {} if is_png else {"Q": 90, "interlace": chance.random() < PROGRESSIVE}
    path = folder / f"{place:05}.{'png' if is_png else 'jpg'}"
    if not path.exists():
        new = path.with_stem("new")
        photograph = Photograph(
            width=round(height * ASPECT),
            height=height,
            orientation=orientation,
            gps=True,
            noise=NOISE_LEVELS,
            seed=place,
        )
        paint(new, photograph, **options)
        new.replace(path)
    return Painted(path=path, megapixels=megapixels)


def keys(pictures: Sequence[Painted], number: int) -> Iterator[tuple[str, Painted]]:
    """Give so many originals' keys, each with the picture that lies there."""
    for place in range(number):
        picture = pictures[place % len(pictures)]
        yield f"gall/{place % FOLDERS}/{place}_original{picture.path.suffix}", picture


def fill(store: Path, pictures: Sequence[Painted], number: int) -> None:
    """Put so many originals into the folder of a file store, by hard links."""
    for key, picture in keys(pictures, number):
        path = store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(picture.path, path)
