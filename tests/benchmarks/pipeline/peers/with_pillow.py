"""Pillow, asked a line at a time: every width from the file anew, with `draft` and Lanczos."""

from __future__ import annotations

import json
import sys
from typing import TypedDict

from PIL import Image, ImageOps


class Quality(TypedDict, total=False):
    """What the encoder is told; nothing, where nothing is lost."""

    quality: int


class Question(TypedDict):
    """What is asked: every width, as a file in the folder."""

    path: str
    folder: str
    widths: list[int]
    format: str
    options: dict[str, Quality]


def answer(question: Question) -> None:
    """Make every width of a photograph."""
    for width in question["widths"]:
        with Image.open(question["path"]) as photo:
            is_sideways = photo.getexif().get(0x0112, 1) >= 5
            own_width = photo.height if is_sideways else photo.width
            aspect = photo.width / photo.height if is_sideways else photo.height / photo.width
            sides = (min(width, own_width), max(1, round(min(width, own_width) * aspect)))
            photo.draft("RGB", sides[::-1] if is_sideways else sides)
            upright = ImageOps.exif_transpose(photo).resize(sides, Image.Resampling.LANCZOS)
            upright.save(f"{question['folder']}/w{width}.{question['format']}", **question["options"][str(width)])


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        answer(json.loads(line))
        print("{}", flush=True)
