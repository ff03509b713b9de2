"""An original, opened: its header at once, its pixels when they are asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.decode import heic
from pipeline.errors import Corrupt, UnsupportedFormat
from pipeline.formats import gif, jpeg, tiff
from pipeline.formats.registry import recognise
from pipeline.image import colour, metadata, vips
from pipeline.image.transfer import TOP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyvips

    from pipeline.formats.jpeg import Repaired
    from pipeline.formats.registry import Readable

_SHRINKS = (8, 4, 2)
_LEFT_TO_RESIZE = 1.15
"""How much larger than asked for a decoder's own shrinking leaves a picture: a proper kernel does the rest.

A photograph 4600 pixels wide is decoded at half, in half the time; where it is full of fine bright detail that costs 6
points of SSIMULACRA2 at 2000 pixels, which is what sharp has from a full decode. At 1.0 many more would lose as much.
"""

_FINE = 2000
"""Pixels, of the longer side. A decoder averages sRGB's numbers, so it leaves at least what a size like this needs: 300
pixels alone would lose 4 to 24 points of SSIMULACRA2, 800 up to 28, beside the same sizes made along with 2000."""

_STREAMED = 3
"""Times. A picture that is to be shrunk less needs the lines around the current one only; from 4 on libvips needs more
than a loader keeps, or fails with "out of order read"."""

_LITTER = re.compile(r"(\d+) extraneous bytes before marker (0x\w+)|Unknown Adobe color|Invalid SOS parameters")
"""Doubts of libjpeg about what is none of the picture, which whole generations of phones cause."""

_END = "0xd9"

_COLOUR_BANDS = {"srgb": 3, "rgb16": 3, "b-w": 1, "grey16": 1, "cmyk": 4, "lab": 3, "labs": 3}
"""The meanings of pixels that are understood, and how many bands they have without alpha."""


_LAB = ("lab", "labs")
_LAB_FORMATS = ("short", "float")
"""The numbers of Lab that libvips gives for TIFF of 16 bits, and of 32 with fractions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A file that is a picture: its format and its header; the header's pixels are not to be read."""

    path: Path
    readable: Readable
    header: pyvips.Image
    bands: int | None = None
    """How many of the file's bands are colour or alpha, where it says so."""

    @property
    def frames(self) -> int:
        """How many frames or pages the file holds."""
        return vips.number(self.header, "n-pages", default=1)

    @property
    def sides(self) -> tuple[int, int]:
        """Its width and height in pixels, as a person sees it."""
        return self.as_stored((self.header.width, self.header.height))

    def as_stored(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Exchange width and height if the picture is stored lying on its side; doing it twice undoes it."""
        return sides[::-1] if metadata.is_turned(metadata.orientation(self.header)) else sides

    def shrink(self, sides: tuple[int, int]) -> int:
        """Tell how many times the decoder itself can shrink the picture and leave enough to make stored `sides` of."""
        if not self.readable.shrinks:
            return 1
        header = self.header
        most = min(header.width / sides[0], header.height / sides[1], max(header.width, header.height) / _FINE)
        most /= _LEFT_TO_RESIZE
        return next((times for times in _SHRINKS if times <= most), 1)


def open_original(path: Path) -> Original:
    """Read what a file is, from its beginning.

    Raises:
        NotAnImage: it begins like no picture.
        UnsupportedFormat: a format that is not read here, or a kind of one that is not.
        Corrupt: the header makes no sense.
    """
    readable = recognise(path)
    bands = _colour_bands(path) if readable.name == "tiff" else None
    header = _first_bands(vips.load(readable.loader, path, fail_on="error"), bands)
    if header.format not in _LAB_FORMATS if header.interpretation in _LAB else header.format not in TOP:
        raise UnsupportedFormat(
            f"This {readable.title} holds numbers of type {header.format}, as measurements do; "
            "export it as a picture of 8 or 16 bits."
        )
    return Original(path=path, readable=readable, header=header, bands=bands)


def first_frame(
    original: Original, through: Callable[[pyvips.Image], pyvips.Image], *, sides: tuple[int, int]
) -> pyvips.Image:
    """Read the first frame `through` what is to be done with its lines, and keep in memory what comes of it.

    The decoder is asked for `sides` or a little more, so `through` is given a picture of at least that.

    Raises:
        UnsupportedFormat: its decoder is not installed.
        Corrupt: the file ends early, or part of its picture is lost.
    """
    if original.readable.name == "jpeg":
        return _jpeg(original, through, sides=sides)
    _refuse_cut_film(original)
    return vips.hold(through(_opened(original, sides)))


def frames(original: Original) -> list[pyvips.Image]:
    """Decode every frame of an animation into memory.

    Raises:
        Corrupt: the file ends early or makes no sense.
    """
    _refuse_cut_film(original)
    roll = vips.hold(colour.to_rgb(_named(vips.load(original.readable.loader, original.path, fail_on="error", n=-1))))
    height = vips.number(roll, "page-height", default=roll.height)
    return [roll.crop(0, top, roll.width, height) for top in range(0, roll.height, height)]


def _jpeg(
    original: Original, through: Callable[[pyvips.Image], pyvips.Image], *, sides: tuple[int, int]
) -> pyvips.Image:
    """Read a JPEG that has all its scans; if it may be litter that is doubted, once more without, and once behind it.

    libjpeg tells of its first doubt only, so litter that is merely overlooked would hide whatever is lost.
    """
    if vips.number(original.header, "interlaced", default=0) and not jpeg.is_whole(original.path):
        raise Corrupt("This file is cut short, though it was closed again; upload it again from the camera.")
    try:
        return vips.hold(through(_opened(original, sides)))
    except Corrupt as mark_stale:
        behind = _litter_behind(mark_stale)
    try:
        return vips.hold(through(_opened(original, sides, jpeg.without_litter(original.path, behind=behind))))
    except Corrupt as mark_stale:
        if behind or not _litter_behind(mark_stale):
            raise
        behind = _litter_behind(mark_stale)
    return vips.hold(through(_opened(original, sides, jpeg.without_litter(original.path, behind=behind))))


def _refuse_cut_film(original: Original) -> None:
    if original.readable.name == "gif" and original.frames > 1 and not gif.is_whole(original.path):
        raise Corrupt("This animation is cut short; upload it again.")


def _litter_behind(mark_stale: Corrupt) -> int:
    """Tell how many bytes are litter behind the picture; 0 where it lies elsewhere.

    Raises:
        Corrupt: it was no litter that was doubted.
    """
    found = _LITTER.search(str(mark_stale))
    if not found:
        raise mark_stale
    return int(found[1]) if found[2] == _END else 0


def _opened(original: Original, sides: tuple[int, int], mended: Repaired | None = None) -> pyvips.Image:
    readable = original.readable
    if readable.name == "heic":
        return heic.load(original.path, colour.profile(original.header))
    times = original.shrink(sides)
    options = readable.shrinks(times) if readable.shrinks and times > 1 else {}
    if mended:
        image = vips.load_mended(mended, **options)
    else:
        image = vips.load(readable.loader, original.path, fail_on=readable.fail_on, **options)
    return _named(_first_bands(vips.streamed(image) if image.height < _STREAMED * sides[1] else image, original.bands))


def _colour_bands(path: Path) -> int | None:
    directory = tiff.directory(path)
    directory.check()
    return directory.colour_bands


def _first_bands(image: pyvips.Image, bands: int | None) -> pyvips.Image:
    return image.extract_band(0, n=bands) if bands and bands < image.bands else image


def _named(image: pyvips.Image) -> pyvips.Image:
    """Say that nameless bands are colours, and cut off those that are neither colour nor alpha: some TIFF have both."""
    is_deep = image.format == "ushort"
    if image.interpretation not in _COLOUR_BANDS or (is_deep and image.interpretation in ("srgb", "b-w")):
        image = image.copy(interpretation=vips.meaning(image.bands, is_deep=is_deep))
    most = _COLOUR_BANDS[image.interpretation] + 1
    return image if image.bands <= most else image.extract_band(0, n=most)
