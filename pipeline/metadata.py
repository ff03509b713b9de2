"""What of an original's metadata may reach a derivative: how it was held, and whose it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline import vips

if TYPE_CHECKING:
    import pyvips

UPRIGHT = 1
"""The orientation of a picture that needs no turning."""

_FIRST_TURNED = 5
"""EXIF orientations 5 to 8 exchange rows and columns."""

_OWNER = ("exif-ifd0-Artist", "exif-ifd0-Copyright")
_LONGEST_TEXT = 500
_EXPLAINED = re.compile(r" \(.*, \d+ components, \d+ bytes\)$", re.DOTALL)
"""What libvips adds to a text of EXIF when it shows it."""


def orientation(image: pyvips.Image) -> int:
    """Read how the camera was held: 1 to 8 as EXIF counts, 1 where the tag is absent or makes no sense."""
    value = vips.number(image, "orientation", default=UPRIGHT)
    return value if 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004 - EXIF's eight


def is_turned(orientation: int) -> bool:
    """Tell whether the picture lies on its side, so that its stored height is what a person calls its width."""
    return orientation >= _FIRST_TURNED


def upright(image: pyvips.Image) -> pyvips.Image:
    """Turn and mirror the picture as its orientation says."""
    return image.autorot()


def owner(image: pyvips.Image) -> dict[str, str]:
    """Read who made the picture and who holds the right to it, by the names of libvips' fields; absent where unsaid."""
    texts = {field: _text(image, field) for field in _OWNER if image.get_typeof(field)}
    return {field: text for field, text in texts.items() if text}


def _text(image: pyvips.Image, field: str) -> str:
    text = _EXPLAINED.sub("", str(image.get(field)))
    return "".join(character for character in text if character.isprintable())[:_LONGEST_TEXT].strip()
