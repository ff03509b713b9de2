"""Writing of derivatives: encoding, and the metadata that a derivative keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.formats import png
from pipeline.formats.registry import MAX_PALETTE_PIXELS
from pipeline.image import colour, metadata, vips
from pipeline.render.fitting import ALL_LEVELS, Encoding, fit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyvips

    from pipeline.decode.original import Original
    from pipeline.formats.registry import Writable
    from pipeline.size import Size

_WHITE = 255.0

_PALETTES: tuple[Mapping[str, int | float | str], ...] = (
    {"palette": True, "bitdepth": 8, "filter": "none"},
    {"palette": True, "bitdepth": 4, "filter": "none", "dither": 0},
)
"""Encoder options for PNGs of 256 and of 16 colours."""


def save(
    image: pyvips.Image, path: Path, original: Original, size: Size, writable: Writable, *, is_whole: bool
) -> None:
    """Save the image with the metadata that the size keeps: a wide gamut's profile, and the copyright names.

    A PNG of few colours stays one: its pixels are copied if `is_whole` and no colour has to be converted. Otherwise it
    is reduced to a palette if it would be larger than the original, and is not too large for that. A size with
    `strip_only` is encoded again, see `pipeline.render.fitting`, if it has more bytes than an original of its format.
    """
    owner = metadata.owner(original.header, original.path) if size.keep_copyright else {}
    exif = metadata.exif(owner) if owner else b""
    most = original.path.stat().st_size
    has_few_colours = writable.name == "png" and original.has_few_colours
    may_copy = has_few_colours and is_whole and not original.is_wide
    if may_copy and png.copy_pixels(original.path, path, {b"eXIf": exif}):
        return

    def encode(encoding: Encoding) -> None:
        _encode(image, path, size, writable, exif=exif, encoding=encoding)

    own = Encoding(writable.options(size, image.width))
    encode(own)
    if has_few_colours and image.width * image.height <= MAX_PALETTE_PIXELS:
        for palette in _PALETTES:
            if path.stat().st_size > most:
                own = Encoding({**own.options, **palette})
                encode(own)
    if size.strip_only and writable.name == original.readable.name:
        fit(path, original, size, own, encode)


def _encode(
    image: pyvips.Image, path: Path, size: Size, writable: Writable, *, exif: bytes, encoding: Encoding
) -> None:
    if image.hasalpha() and not writable.holds_alpha:
        image = image.flatten(background=[_WHITE])
    if encoding.levels < ALL_LEVELS:
        image = colour.with_levels(image, encoding.levels)
    vips.save(
        vips.with_exif(image, exif),
        writable.saver,
        path,
        keep=vips.keep_flags(exif=bool(exif), profile=colour.keeps_profile(image, size.gamut)),
        **encoding.options,
    )
    if exif:
        metadata.replace_exif(path, exif)
