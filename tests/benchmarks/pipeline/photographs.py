"""The photographs that are measured: the JPEGs of the corpus that are large enough to be shrunk."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LEAST_MEGAPIXELS = 2.0
LARGE_MEGAPIXELS = 8.0

_CAMERA_WIDTH = 2000
"""Pixels. What is not wider than the largest size is not shrunk to it: nothing to compare there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """One original, as the manifest describes it; width and height as stored, before it is turned upright."""

    path: Path
    width: int
    height: int
    note: str
    extra: str

    @property
    def name(self) -> str:
        """Its short name."""
        return self.path.stem.split("__")[-1]

    @property
    def megapixels(self) -> float:
        """Its pixels in millions."""
        return self.width * self.height / 1e6

    @property
    def is_progressive(self) -> bool:
        """Whether its decoder has to hold the whole of it."""
        return "progressive" in f"{self.note} {self.extra}"

    @property
    def is_srgb(self) -> bool:
        """Whether its numbers mean the same to a program that converts colours as to one that does not."""
        return "icc=" not in self.extra or "icc=sRGB" in self.extra

    @property
    def is_large(self) -> bool:
        """Whether it is of a size that cameras make today."""
        return self.megapixels >= LARGE_MEGAPIXELS


def photographs(corpus: Path, *, at_most: int | None) -> tuple[Photograph, ...]:
    """List the JPEGs wider than the largest size; at most so many, evenly picked from the smallest to the largest."""
    with (corpus / "photos" / "manifest.tsv").open(encoding="utf-8") as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["format"] == "JPEG"]
    found = sorted((_photograph(corpus, row) for row in rows), key=lambda photo: (photo.megapixels, photo.name))
    fitting = [photo for photo in found if photo.megapixels >= LEAST_MEGAPIXELS and photo.width > _CAMERA_WIDTH]
    if at_most is None or at_most >= len(fitting):
        return tuple(fitting)
    return tuple(fitting[(2 * i + 1) * len(fitting) // (2 * at_most)] for i in range(at_most))


def everything(corpus: Path) -> tuple[Path, ...]:
    """List every photograph, whatever its format, the same way each time."""
    return tuple(sorted(path for path in (corpus / "photos").iterdir() if path.suffix != ".tsv"))


def _photograph(corpus: Path, row: dict[str, str]) -> Photograph:
    width, height = map(int, row["width_x_height"].split("x"))
    path = corpus / "photos" / row["file"]
    return Photograph(path=path, width=width, height=height, note=row["note"], extra=row["extra"])
