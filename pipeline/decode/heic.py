"""HEIC decoding with pillow-heif, because libvips is shipped without an HEVC decoder."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pipeline.errors import Corrupt, UnsupportedFormat
from pipeline.image import vips

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips

_DEEP = ";16"


def load(path: Path, profile: bytes | None) -> pyvips.Image:
    """Decode the main image of a HEIC file, upright, with `profile` as its ICC profile.

    Raises:
        UnsupportedFormat: pillow-heif is not installed.
        Corrupt: the file is truncated or invalid.
    """
    try:
        # Imported for the first HEIC only: it loads Pillow, some 15 MB that other originals do not need.
        pillow_heif = importlib.import_module("pillow_heif")
    except ImportError as missing:
        raise UnsupportedFormat(
            "HEIC is not supported: the service was installed without the heic extra; upload a JPEG."
        ) from missing
    pillow_heif.options.DECODE_THREADS = 1
    try:
        decoded = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
        picture = vips.from_bytes(decoded.data, decoded.size, bands=_bands(decoded.mode), is_deep=_DEEP in decoded.mode)
    except (OSError, ValueError, RuntimeError, EOFError, SyntaxError) as error:
        raise Corrupt("The HEIC file is damaged or truncated; upload an intact copy.") from error
    return vips.with_profile(picture, profile) if profile else picture


def _bands(mode: str) -> int:
    """Return the number of bands of a Pillow mode, such as `RGBA;16`."""
    return len(mode.removesuffix(_DEEP))
