"""A judge, asked a line at a time: SSIMULACRA2 of pictures against a full decode shrunk in linear light by Lanczos3."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import numpy as np
from PIL import Image, ImageOps

from pipeline.compare.judge import ssimulacra2

Image.MAX_IMAGE_PIXELS = None


class Question(TypedDict):
    """What is asked: the scores of pictures, all of one photograph; references are kept in the folder."""

    photo: str
    folder: str
    pictures: list[str]


def answer(question: Question) -> list[float]:
    """Score every picture against a reference of its own dimensions."""
    return [_score(question["photo"], picture, Path(question["folder"])) for picture in question["pictures"]]


def _score(photo: str, picture: str, folder: Path) -> float:
    with Image.open(picture) as opened:
        width, height = opened.size
        pixels = np.asarray(opened.convert("RGB"))
    reference = folder / f"{Path(photo).name}.{width}x{height}.png"
    if not reference.exists():
        _shrunk(photo, (width, height)).save(reference, compress_level=1)
    with Image.open(reference) as opened:
        return ssimulacra2(np.asarray(opened), pixels)


def _shrunk(photo: str, sides: tuple[int, int]) -> Image.Image:
    bands = [Image.fromarray(band).resize(sides, Image.Resampling.LANCZOS) for band in _light(photo)]
    light = np.clip(np.stack([np.asarray(band) for band in bands], axis=2), 0, 1)
    coded = np.where(light <= 0.003_130_8, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(coded * 255).astype(np.uint8))


@lru_cache(maxsize=1)
def _light(photo: str) -> tuple[np.ndarray, ...]:
    """Decode the whole photograph, upright, and undo sRGB's curve (IEC 61966-2-1)."""
    with Image.open(photo) as opened:
        pixels = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    levels = np.arange(256) / 255
    table = np.where(levels <= 0.040_45, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return tuple(np.ascontiguousarray(table[pixels[:, :, band]]) for band in range(3))


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
