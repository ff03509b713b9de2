"""Originals: the header is read on opening, the pixels only when they are needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pipeline import sentences
from pipeline.decode import heif
from pipeline.decode.declared import declared
from pipeline.errors import Corrupt, UnsupportedFormat
from pipeline.formats import jpeg, png
from pipeline.formats.decoder_warnings import Verdict, verdict
from pipeline.formats.registry import recognise
from pipeline.image import canvas, colour, metadata, orientation, vips
from pipeline.image.transfer_curve import TOP
from pipeline.protocol import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyvips

    from pipeline.decode.declared import Declared
    from pipeline.formats.registry import Readable
    from pipeline.formats.spliced import Spliced

T = TypeVar("T")

_SHRINKS = (8, 4, 2)
_OVERSAMPLING = 1.8
"""A decoder shrinks to no less than this factor times the largest size; a proper kernel does the rest.

A decoder averages sRGB values, which darkens fine bright detail. See docs/decisions/034 for what that costs.
"""

_LOW_OVERSAMPLING = 1.15
"""The same for originals of which each pixel costs much. At 1.0 many more photographs would lose detail."""

_MIN_DECODED_SIDE = 2000
"""Pixels. A decoder's own shrinking leaves the longer side at least this long, however small the largest size is."""

_MAX_UNCACHED_REDUCTION = 3
"""A reduction by less than this factor needs only the lines around the current one.

From 4 on libvips needs more lines than a loader keeps, or fails with "out of order read".
"""

_TRAILING = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
"""libjpeg's warning about stray bytes before the end marker, which only it can count."""

_COLOUR_BANDS = {"srgb": 3, "rgb16": 3, "b-w": 1, "grey16": 1, "cmyk": 4, "lab": 3, "labs": 3}
"""The supported interpretations of pixels, and their number of bands without alpha."""


_PLAIN_BANDS = {"srgb": 3, "b-w": 1, "cmyk": 4}
"""The interpretations of pixels of 8 bits that become RGB or grey without alpha, and their number of bands."""

_COLOURS = 3
_LAB = ("lab", "labs")
_LAB_FORMATS = ("short", "float")
"""The pixel formats in which libvips decodes the Lab of 16-bit and of 32-bit floating-point TIFFs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """An opened original: its path, format and header; `header` must not be used to read pixels."""

    path: Path
    readable: Readable
    header: pyvips.Image
    declared: Declared

    @property
    def frames(self) -> int:
        """The number of frames or pages in the file."""
        return vips.number(self.header, "n-pages", default=1)

    @property
    def is_upright(self) -> bool:
        """Whether the image is stored upright."""
        return orientation.read(self.header) == orientation.UPRIGHT

    @property
    def is_wide(self) -> bool:
        """Whether the image has a profile for its colours that differ from sRGB."""
        return colour.is_wide(colour.with_own_profile(self.header))

    @property
    def has_few_colours(self) -> bool:
        """Whether the file is a PNG with a palette, or with fewer than 256 levels of grey."""
        declared = png.header(self.path) if self.readable.name == "png" else None
        return declared is not None and declared.has_few_colours

    @property
    def is_plain(self) -> bool:
        """Whether its pixels are colours of 8 bits without alpha, once they are converted to RGB or grey."""
        header = self.header
        return bool(header.format == "uchar" and _PLAIN_BANDS.get(header.interpretation) == header.bands)

    @property
    def _is_cheap(self) -> bool:
        """Whether a full decode costs little: of a lossy WebP it costs much memory, and of CMYK the conversion."""
        return bool(self.readable.name == "jpeg" and self.header.bands <= _COLOURS)

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
        oversampling = _OVERSAMPLING if self._is_cheap else _LOW_OVERSAMPLING
        wanted = min(header.width / sides[0], header.height / sides[1]) / oversampling
        most = min(wanted, max(header.width, header.height) / _MIN_DECODED_SIDE)
        return next((times for times in _SHRINKS if times <= most), 1)


def open_original(
    path: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008 - a value that cannot change
) -> Original:
    """Read an original's format and header.

    Raises:
        NotAnImage: the file does not start like any known image format.
        UnsupportedFormat: the format, or this variant of it, is not supported.
        Corrupt: the header is invalid.
        TooManyFrames, NeedsTooMuchMemory: even reading the header would take too much.
    """
    readable = recognise(path)
    known = declared(path, readable, limits)
    if known.picture:
        header = colour.with_own_profile(heif.header(path, known.picture))
    else:
        header = _with_alpha_of_canvas(_used_bands(_load(path, readable, known, fail_on="error"), known), known)
    if known.exif:
        header = metadata.labelled(header, known.exif)
    if header.format not in _LAB_FORMATS if header.interpretation in _LAB else header.format not in TOP:
        raise UnsupportedFormat(sentences.UNSUPPORTED_SAMPLES.format(title=readable.title, sample=header.format))
    return Original(path=path, readable=readable, header=header, declared=known)


def first_frame(original: Original, into: Callable[[pyvips.Image], T], *, sides: tuple[int, int]) -> T:
    """Decode the first frame, and return what `into` makes of it, which reads the pixels.

    The decoder may shrink the frame, but to no less than `sides`. If the file has a harmless defect, `into` may be
    called again.

    Raises:
        UnsupportedFormat: the decoder is not installed.
        Corrupt: the file is truncated, or image data is lost.
    """
    if original.readable.name == "jpeg":
        return _jpeg(original, into, sides=sides)
    if picture := original.declared.picture:
        return heif.evaluate(original.path, picture, original.header, into)
    _refuse_truncated_animation(original)
    return into(_open_pixels(original, sides))


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
    images = [roll.crop(0, top, roll.width, height) for top in range(0, roll.height, height)]
    if roll.hasalpha() or not original.header.hasalpha() or not original.declared.animation:
        return images
    masks = canvas.masks(original.declared.animation.frames, (roll.width, height))
    return [image.bandjoin(mask) for image, mask in zip(images, masks, strict=False)]


def _jpeg(original: Original, into: Callable[[pyvips.Image], T], *, sides: tuple[int, int]) -> T:
    """Decode a complete JPEG; on a warning about a harmless defect, decode it again without the defect.

    libjpeg reports only its first warning, so ignoring a harmless one would hide any lost image data. A second retry
    also removes stray bytes after the image, if the first one warns about them.
    """
    if vips.number(original.header, "interlaced", default=0) and not jpeg.is_complete(original.path):
        raise Corrupt(sentences.IMAGE_DATA_MISSING)
    repaired, behind = None, 0
    while True:
        try:
            return into(_open_pixels(original, sides, repaired))
        except Corrupt as warning:
            trailing = _TRAILING.search(warning.cause)
            is_news = repaired is None or (trailing and not behind)
            if not is_news or verdict(warning.cause) is Verdict.LOST:
                raise
            behind = int(trailing[1]) if trailing else 0
        repaired = jpeg.repair(original.path, behind=behind)


def _refuse_truncated_animation(original: Original) -> None:
    survey = original.declared.animation
    if survey and original.frames > 1 and not survey.is_complete:
        raise Corrupt(sentences.TRUNCATED_ANIMATION)


def _open_pixels(original: Original, sides: tuple[int, int], repaired: Spliced | None = None) -> pyvips.Image:
    readable, known = original.readable, original.declared
    times = original.shrink(sides)
    options = readable.shrinks(times) if readable.shrinks and times > 1 else {}
    image = _load(original.path, readable, known, repaired, fail_on=readable.fail_on, **options)
    if known.exif:
        image = metadata.labelled(image, known.exif)
    lean = vips.without_line_cache(image) if image.height < _MAX_UNCACHED_REDUCTION * sides[1] else image
    return _normalise_bands(_with_alpha_of_canvas(_used_bands(lean, known), known))


def _load(
    path: Path, readable: Readable, known: Declared, repaired: Spliced | None = None, *, fail_on: str, **options: float
) -> pyvips.Image:
    view = repaired or known.view
    if view:
        return vips.load_spliced(view, fail_on=fail_on, **options)
    return vips.load(readable.loader, path, fail_on=fail_on, **options)


def _used_bands(image: pyvips.Image, known: Declared) -> pyvips.Image:
    """Return the bands of a TIFF that are colours or alpha, as RGB if they are YCbCr."""
    if not known.directory:
        return image
    unused = known.directory.unused_bands
    used = image.extract_band(0, n=image.bands - unused) if 0 < unused < image.bands else image
    ycbcr = known.directory.ycbcr
    return colour.from_ycbcr(used, ycbcr.luma, ycbcr.reference) if ycbcr and used.bands == _COLOURS else used


def _with_alpha_of_canvas(image: pyvips.Image, known: Declared) -> pyvips.Image:
    """Return a GIF's first frame transparent where it does not cover the canvas; the decoder paints it black."""
    first = known.animation.frames[0] if known.animation and known.animation.frames else None
    if image.hasalpha() or first is None or first.covers(image.width, image.height):
        return image
    return image.bandjoin(canvas.mask(first, (image.width, image.height)))


def _normalise_bands(image: pyvips.Image) -> pyvips.Image:
    """Interpret unnamed bands as colours, and drop bands that are neither colour nor alpha; some TIFFs have both.

    A profile for other colours is dropped too.
    """
    is_deep = image.format == "ushort"
    if image.interpretation not in _COLOUR_BANDS or (is_deep and image.interpretation in ("srgb", "b-w")):
        image = image.copy(interpretation=vips.interpretation(image.bands, is_deep=is_deep))
    most = _COLOUR_BANDS[image.interpretation] + 1
    return colour.with_own_profile(image if image.bands <= most else image.extract_band(0, n=most))
