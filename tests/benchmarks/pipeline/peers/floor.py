"""The floor, asked a line at a time: decode at the shrink that we decode at, then encode four pictures made before."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.decode.original import open_original
from pipeline.image import vips
from tests.benchmarks.pipeline.programs import SIZES, Question

if TYPE_CHECKING:
    import pyvips


def answer(question: Question) -> None:
    """Spend what every plan must: one decode whose pixels are only added up, and the encodes."""
    _decoded(question.path).avg()
    for width, picture in _pictures(question.path).items():
        vips.save(picture, "jpegsave", Path(question.folder) / f"w{width}.jpg", keep="none", **question.options[width])


def _decoded(path: str) -> pyvips.Image:
    original = open_original(Path(path))
    size = SIZES[0].cover(width=original.sides[0], height=original.sides[1])
    shrink = original.shrink(original.as_stored(size))
    return vips.load("source", Path(path), fail_on="warning", **({"shrink": shrink} if shrink > 1 else {}))


@lru_cache(maxsize=1)
def _pictures(path: str) -> dict[int, pyvips.Image]:
    """Make the pictures once, with the first question, which nobody measures."""
    decoded = _decoded(path).copy_memory()
    return {size.width: decoded.thumbnail_image(size.width, size="down").copy_memory() for size in SIZES}


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin.buffer:
        answer(msgspec.json.decode(line, type=Question))
        print("{}", flush=True)
