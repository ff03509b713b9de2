"""A named size: the recipe of a derivative, as a value that refuses nonsense."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

MAX_SIDE = 16_383
"""Pixels. The most that WebP can hold (14 bits a side); JPEG and PNG hold more."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one derivative looks like: a box in pixels, how the picture fits it, and how it is encoded.

    Raises:
        ValueError: every fault of the recipe at once, one sentence each, joined by "; ".
    """

    name: str
    width: int
    height: int | None = None
    fit: Literal["limit", "fill"] = "limit"
    position: Literal["centre", "attention"] = "centre"
    quality: int = 82
    format: Literal["jpeg", "png", "webp", "avif"] | None = None

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(faults))

    def _faults(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield from ()

    def dimensions(self, *, width: int, height: int) -> tuple[int, int]:
        """Give the derivative's width and height in pixels for an upright original of `width` x `height`."""
        raise NotImplementedError
