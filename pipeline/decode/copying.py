"""Which originals are copied without their metadata rather than rendered, and the proof that a copy shows the same."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from pipeline.decode.original import first_frame
from pipeline.errors import Refused
from pipeline.formats.spliced import Spliced
from pipeline.image import colour, vips
from pipeline.strip import copies

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips

    from pipeline.decode.original import Original

_SHOWN = ("srgb", "rgb16", "b-w", "grey16")
"""The interpretations of pixels that all browsers show alike."""

_ESCAPE_BYTES = 2
"""The length of an escaped byte in a scan, 0xff and 0."""

_MOST_SHRINK = 8


def copied(original: Original, *, animation_pixels: int) -> Spliced | None:
    """Return an original without its metadata, its compressed pixels as they are; None if it has to be rendered.

    It has to if it is not stored upright, is not a JPEG, PNG or WebP, has colours that browsers do not agree on, is an
    animation of more than `animation_pixels` in total, or has parts that are unknown.
    """
    header = original.header
    is_short = original.frames == 1 or original.frames * header.width * header.height <= animation_pixels
    if not original.is_upright or not is_short or header.interpretation not in _SHOWN:
        return None
    return copies.copied(original.path, original.readable.name, colour.profile(colour.with_own_profile(header)))


def is_copied(original: Original, *, animation_pixels: int) -> bool:
    """Return whether an original is copied, as far as its structure shows."""
    return copied(original, animation_pixels=animation_pixels) is not None


def has_no_rest(original: Original, copy: Spliced) -> bool:
    """Return whether a decoder needs the last byte of the copy of a JPEG with one scan.

    It does not look for the end marker then, and so does not notice bytes behind the last pixel. In a sound scan the
    last byte always has some bits of the last pixel: without it, the decoder warns.
    """
    *parts, scan, end = copy.parts
    if original.readable.name != "jpeg" or not isinstance(scan, range) or len(scan) <= _ESCAPE_BYTES:
        return original.readable.name != "jpeg"
    with original.path.open("rb") as file:
        file.seek(scan.stop - _ESCAPE_BYTES)
        cut = _ESCAPE_BYTES if file.read(_ESCAPE_BYTES) == b"\xff\0" else 1
    try:
        shorter = Spliced(original.path, (*parts, scan[:-cut], end))
        _checksum(vips.load_spliced(shorter, fail_on="warning", shrink=_MOST_SHRINK))
    except Refused:
        return True
    return False


def shows_the_same(original: Original, copy: Path) -> bool:
    """Return whether the original is undamaged, and a copy of it has the same pixels, without any warning.

    Raises:
        Refused: the original is damaged.
    """
    whole = (original.header.width, original.header.height)
    moves = original.frames > 1
    expected = _frames(original, original.path) if moves else first_frame(original, _checksum, sides=whole)
    readable = original.readable
    try:
        if not copies.has_exact_pixels(copy, readable.name):
            return False
        found = (
            _frames(original, copy) if moves else _checksum(vips.load(readable.loader, copy, fail_on=readable.fail_on))
        )
    except Refused:
        return False
    return found == expected


def _frames(original: Original, path: Path) -> tuple[int, int, int, int]:
    """Return a checksum of all frames of an animation in the format of the original."""
    return _checksum(vips.load(original.readable.loader, path, fail_on="error", n=-1))


def _checksum(image: pyvips.Image) -> tuple[int, int, int, int]:
    """Return a checksum of all pixels, and their dimensions."""
    checksum = 0
    for strip in vips.strips(image):
        checksum = zlib.crc32(strip, checksum)
    return checksum, image.width, image.height, image.bands
