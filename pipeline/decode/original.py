"""Originals: the header is read on opening, the pixels only when they are needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.decode import heif as heif_decoder
from pipeline.errors import Corrupt, UnsupportedFormat
from pipeline.formats import gif, heif, jpeg, tiff
from pipeline.formats.registry import recognise
from pipeline.image import colour, orientation, vips
from pipeline.image.transfer_curve import TOP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyvips

    from pipeline.formats.heif import MainImage
    from pipeline.formats.jpeg import Repaired
    from pipeline.formats.registry import Readable

_SHRINKS = (8, 4, 2)
_MIN_OVERSAMPLING = 1.15
"""A decoder shrinks to no less than this factor times the requested size; a proper kernel does the rest.

At 1.15 a photograph 4600 pixels wide is decoded at half its size, in half the time. If it is full of fine bright
detail, that costs 6 points of SSIMULACRA2 at 2000 pixels, and leaves the score that sharp achieves with a full decode.
At 1.0 many more photographs would lose as much.
"""

_MIN_DECODED_SIDE = 2000
"""Pixels. A decoder's own shrinking leaves the longer side at least this long, times `_MIN_OVERSAMPLING`.

A decoder averages sRGB values. Without this minimum, 300 pixels rendered alone would lose 4 to 24 points of
SSIMULACRA2, and 800 pixels up to 28, compared with the same sizes rendered together with 2000.
"""

_MAX_UNCACHED_REDUCTION = 3
"""A reduction by less than this factor needs only the lines around the current one.

From 4 on libvips needs more lines than a loader keeps, or fails with "out of order read".
"""

_HARMLESS_WARNING = re.compile(
    r"(\d+) extraneous bytes before marker (0x\w+)|Unknown Adobe color|Invalid SOS parameters"
)
"""libjpeg's warnings about defects outside the image data; whole generations of phones write such files."""

_END = "0xd9"

_COLOUR_BANDS = {"srgb": 3, "rgb16": 3, "b-w": 1, "grey16": 1, "cmyk": 4, "lab": 3, "labs": 3}
"""The supported interpretations of pixels, and their number of bands without alpha."""


_HEIF = ("heic", "avif")
_LAB = ("lab", "labs")
_LAB_FORMATS = ("short", "float")
"""The pixel formats in which libvips decodes the Lab of 16-bit and of 32-bit floating-point TIFFs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """An opened original: its path, format and header; `header` must not be used to read pixels."""

    path: Path
    readable: Readable
    header: pyvips.Image
    bands: int | None = None
    """The number of bands that are colour or alpha; None if the file does not declare it."""
    picture: MainImage | None = None
    """What the main image of a HEIC or AVIF consists of."""

    @property
    def frames(self) -> int:
        """The number of frames or pages in the file."""
        return vips.number(self.header, "n-pages", default=1)

    @property
    def sides(self) -> tuple[int, int]:
        """Width and height in pixels, after the orientation is applied."""
        return self.as_stored((self.header.width, self.header.height))

    def as_stored(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Convert dimensions from upright to stored or back, by swapping them if the orientation does."""
        return sides[::-1] if orientation.swaps_sides(orientation.read(self.header)) else sides

    def shrink(self, sides: tuple[int, int]) -> int:
        """Return the factor by which the decoder itself can shrink the image and still leave enough for `sides`.

        `sides` are as stored, before the orientation is applied.
        """
        if not self.readable.shrinks:
            return 1
        header = self.header
        most = min(
            header.width / sides[0], header.height / sides[1], max(header.width, header.height) / _MIN_DECODED_SIDE
        )
        most /= _MIN_OVERSAMPLING
        return next((times for times in _SHRINKS if times <= most), 1)


def open_original(path: Path) -> Original:
    """Read an original's format and header.

    Raises:
        NotAnImage: the file does not start like any known image format.
        UnsupportedFormat: the format, or this variant of it, is not supported.
        Corrupt: the header is invalid.
    """
    readable = recognise(path)
    picture = heif.read(path) if readable.name in _HEIF else None
    bands = _colour_bands(path) if readable.name == "tiff" else None
    if picture:
        header = heif_decoder.header(path, picture)
    else:
        header = _first_bands(vips.load(readable.loader, path, fail_on="error"), bands)
    if header.format not in _LAB_FORMATS if header.interpretation in _LAB else header.format not in TOP:
        raise UnsupportedFormat(
            f"{readable.title} files with samples of type {header.format} are not supported; "
            "export the image with 8 or 16 bits per sample."
        )
    return Original(path=path, readable=readable, header=header, bands=bands, picture=picture)


def first_frame(
    original: Original, through: Callable[[pyvips.Image], pyvips.Image], *, sides: tuple[int, int]
) -> pyvips.Image:
    """Decode the first frame, process it with `through`, and return the result in memory.

    The decoder may shrink the frame, but to no less than `sides`; `through` receives the result.

    Raises:
        UnsupportedFormat: the decoder is not installed.
        Corrupt: the file is truncated, or image data is lost.
    """
    if original.readable.name == "jpeg":
        return _jpeg(original, through, sides=sides)
    if original.picture:
        return heif_decoder.evaluate(original.path, original.picture, original.header, through)
    _refuse_truncated_animation(original)
    return vips.evaluate(through(_open_pixels(original, sides)))


def frames(original: Original) -> list[pyvips.Image]:
    """Decode every frame of an animation into memory.

    Raises:
        Corrupt: the file is truncated or invalid.
    """
    _refuse_truncated_animation(original)
    roll = vips.evaluate(
        colour.to_rgb(_normalise_bands(vips.load(original.readable.loader, original.path, fail_on="error", n=-1)))
    )
    height = vips.number(roll, "page-height", default=roll.height)
    return [roll.crop(0, top, roll.width, height) for top in range(0, roll.height, height)]


def _jpeg(
    original: Original, through: Callable[[pyvips.Image], pyvips.Image], *, sides: tuple[int, int]
) -> pyvips.Image:
    """Decode a complete JPEG; on a warning about a harmless defect, decode it again without the defect.

    libjpeg reports only its first warning, so ignoring a harmless one would hide any lost image data. A second retry
    also removes stray bytes after the image, if the first one warns about them.
    """
    if vips.number(original.header, "interlaced", default=0) and not jpeg.is_complete(original.path):
        raise Corrupt("The file is damaged: some of its image data is missing; upload an intact copy.")
    try:
        return vips.evaluate(through(_open_pixels(original, sides)))
    except Corrupt as warning:
        behind = _trailing_bytes(warning)
    try:
        return vips.evaluate(through(_open_pixels(original, sides, jpeg.repair(original.path, behind=behind))))
    except Corrupt as warning:
        if behind or not _trailing_bytes(warning):
            raise
        behind = _trailing_bytes(warning)
    return vips.evaluate(through(_open_pixels(original, sides, jpeg.repair(original.path, behind=behind))))


def _refuse_truncated_animation(original: Original) -> None:
    if original.readable.name == "gif" and original.frames > 1 and not gif.is_complete(original.path):
        raise Corrupt("The animation is truncated; upload an intact copy.")


def _trailing_bytes(warning: Corrupt) -> int:
    """Return the number of stray bytes after the image; 0 if the harmless defect is elsewhere.

    Raises:
        Corrupt: the warning is not about a harmless defect.
    """
    found = _HARMLESS_WARNING.search(str(warning))
    if not found:
        raise warning
    return int(found[1]) if found[2] == _END else 0


def _open_pixels(original: Original, sides: tuple[int, int], repaired: Repaired | None = None) -> pyvips.Image:
    readable = original.readable
    times = original.shrink(sides)
    options = readable.shrinks(times) if readable.shrinks and times > 1 else {}
    if repaired:
        image = vips.load_repaired(repaired, **options)
    else:
        image = vips.load(readable.loader, original.path, fail_on=readable.fail_on, **options)
    return _normalise_bands(
        _first_bands(
            vips.without_line_cache(image) if image.height < _MAX_UNCACHED_REDUCTION * sides[1] else image,
            original.bands,
        )
    )


def _colour_bands(path: Path) -> int | None:
    directory = tiff.directory(path)
    directory.check()
    return directory.colour_bands


def _first_bands(image: pyvips.Image, bands: int | None) -> pyvips.Image:
    return image.extract_band(0, n=bands) if bands and bands < image.bands else image


def _normalise_bands(image: pyvips.Image) -> pyvips.Image:
    """Interpret unnamed bands as colours, and drop bands that are neither colour nor alpha; some TIFFs have both."""
    is_deep = image.format == "ushort"
    if image.interpretation not in _COLOUR_BANDS or (is_deep and image.interpretation in ("srgb", "b-w")):
        image = image.copy(interpretation=vips.interpretation(image.bands, is_deep=is_deep))
    most = _COLOUR_BANDS[image.interpretation] + 1
    return image if image.bands <= most else image.extract_band(0, n=most)
