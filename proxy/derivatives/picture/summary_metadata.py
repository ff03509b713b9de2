"""The summary of a picture in the metadata of the derivative of its base size."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pipeline.formats.registry import READABLE
from pipeline.protocol import Preview, Summary
from proxy.rendering.answers import is_preview

if TYPE_CHECKING:
    from collections.abc import Mapping

ORIGINAL_WIDTH, ORIGINAL_HEIGHT, FORMAT, ANIMATED = (
    "original-width", "original-height", "original-format", "original-animated",
)  # fmt: skip
COLOR, LQIP, THUMBHASH = "color", "lqip", "thumbhash"
"""The names of the metadata; the values have 520 bytes at most, and S3 stores 2,000 of each blob."""

_BOOLEANS: Final = {"true": True, "false": False}
_PIXELS: Final = re.compile(r"[1-9][0-9]{0,8}")


def metadata_of(summary: Summary) -> dict[str, str]:
    """Return a summary as metadata."""
    metadata = {
        ORIGINAL_WIDTH: str(summary.width),
        ORIGINAL_HEIGHT: str(summary.height),
        FORMAT: summary.format,
        ANIMATED: str(summary.animated).lower(),
    }
    if preview := summary.preview:
        metadata |= {COLOR: preview.color, LQIP: preview.lqip, THUMBHASH: preview.thumbhash}
    return metadata


def summary_of(metadata: Mapping[str, str]) -> Summary | None:
    """Return the summary in the metadata of a derivative.

    It is None if the metadata has none: older versions stored none, nor do other sizes have one, and some stores return
    no metadata. Anyone who can write to a bucket chooses the metadata, so invalid values count as missing.
    """
    width, height = pixels(metadata.get(ORIGINAL_WIDTH)), pixels(metadata.get(ORIGINAL_HEIGHT))
    name, animated = metadata.get(FORMAT, ""), _BOOLEANS.get(metadata.get(ANIMATED, ""))
    if not (width and height) or name not in READABLE or animated is None:
        return None
    preview = Preview(color=metadata.get(COLOR, ""), lqip=metadata.get(LQIP, ""), thumbhash=metadata.get(THUMBHASH, ""))
    return Summary(
        width=width, height=height, format=name, animated=animated, preview=preview if is_preview(preview) else None
    )


def pixels(text: str | None) -> int:
    """Return a number of pixels in metadata, 0 if there is no valid one."""
    return int(text) if text and _PIXELS.fullmatch(text) else 0
