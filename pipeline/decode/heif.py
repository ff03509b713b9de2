"""Decoding of HEIC and AVIF: each coded image on its own, and a row of tiles at a time.

So a tile that is missing or damaged is an error and not a flat rectangle, and a photograph in tiles needs the memory of
one row of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from pipeline.decode import hevc
from pipeline.errors import Refused
from pipeline.formats import icc
from pipeline.formats.heif import excerpt, main_image
from pipeline.formats.heif.boxes import damaged
from pipeline.image import tone, vips, ycbcr
from pipeline.image.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.formats.heif.main_image import Coded, MainImage, Plane

T = TypeVar("T")

_COLOURS = 3
_WORD_PER_BYTE = 257
_WORD_TOP = 65_535
_TOP = {"uchar": 255, "ushort": _WORD_TOP}


def header(path: Path, picture: MainImage) -> vips.Image:
    """Return the header of a HEIC or AVIF: dimensions as stored, the orientation, the profile and metadata.

    Raises:
        Refused: libvips cannot read the header.
    """
    read = vips.load_heif(excerpt.header(path, picture))
    if not picture.profile and (profile := icc.of_primaries(picture.colour.tiles[0].primaries)):
        read = vips.with_profile(read, profile)
    bands = (1 if picture.colour.is_grey else _COLOURS) + (picture.alpha is not None)
    return vips.with_number(vips.blank(picture.sides, bands, like=read), "orientation", picture.orientation)


def evaluate(path: Path, picture: MainImage, labels: vips.Image, into: Callable[[vips.Image], T]) -> T:
    """Decode an image with the fields of `labels`, and return what `into` makes of it, which reads the pixels.

    Raises:
        UnsupportedFormat: there is no decoder, or the image uses a feature that is not supported.
        Corrupt: the file is damaged.
    """
    decoder = _Decoder(path, transfer=None if picture.profile else picture.colour.tiles[0].transfer)
    try:
        image = decoder.plane(picture.colour)
        if picture.alpha:
            alpha = replace(decoder, transfer=None).plane(picture.alpha)
            image = _with_alpha(image, alpha, is_premultiplied=picture.is_premultiplied)
        if picture.crop:
            image = image.crop(*picture.crop)
        return into(vips.with_fields(image, labels))
    except Refused:
        if decoder.faults:
            raise decoder.faults[0] from None
        raise


@dataclass(frozen=True, slots=True)
class _Decoder:
    """Decodes parts of a file; `faults` are the errors that occur while libvips reads rows, and cannot pass on.

    HDR is mapped in each tile, because libvips holds a few lines of floats for each step.
    """

    path: Path
    transfer: int | None
    faults: list[Exception] = field(default_factory=list)

    def plane(self, plane: Plane) -> vips.Image:
        """Return the colours or the alpha of an image."""
        first = self._coded(plane.tiles[0])
        if len(plane.tiles) == 1:
            return first

        def compute(row: int) -> memoryview:
            try:
                return self._row(plane, row)
            except Exception as fault:  # noqa: BLE001 - raised again by `evaluate`
                self.faults.append(fault)
                return memoryview(b"")

        is_deep = first.format != "uchar"
        rows = Rows(sides=plane.sides, bands=first.bands, is_deep=is_deep, lines=plane.tile_sides[1])
        return rows.image(compute)

    def _row(self, plane: Plane, row: int) -> memoryview:
        """Return the samples of a row of tiles, as wide as the image."""
        width, height = plane.sides
        lines = plane.tile_sides[1]
        # Each tile at once, because each decoder holds a few times the memory of its image.
        tiles = [vips.evaluate(self._coded(tile)) for tile in plane.tiles[row * plane.columns :][: plane.columns]]
        whole = vips.side_by_side(tiles).crop(0, 0, width, min(lines, height - row * lines))
        return vips.samples(whole)

    def _coded(self, image: Coded) -> vips.Image:
        if image.codec == main_image.HEVC:
            found = hevc.decode(image, main_image.payload(self.path, image))
        else:
            found = _av1(excerpt.excerpt(self.path, image), image)
        if (found.width, found.height) != image.sides:
            raise damaged("a part has other dimensions than it should")
        return tone.to_sdr(found, self.transfer) if self.transfer in tone.HDR else found


def _av1(file: bytes, image: Coded) -> vips.Image:
    """Decode one AV1 image; libvips decodes grey as three equal bands, and does not stretch a limited range of grey."""
    found = vips.load_heif(file)
    if not image.is_grey:
        return found
    grey = vips.first_band(found)
    return ycbcr.stretched(grey) if image.is_full_range is False else grey


def _with_alpha(image: vips.Image, alpha: vips.Image, *, is_premultiplied: bool) -> vips.Image:
    """Return an image with an alpha band of the same size and sample type."""
    if (alpha.width, alpha.height) != (image.width, image.height):
        across, down = image.width / alpha.width, image.height / alpha.height
        alpha = vips.evaluate(alpha).resize(across, vscale=down, kernel="linear")
    if alpha.format != image.format:
        alpha = alpha * _WORD_PER_BYTE if alpha.format == "uchar" else alpha / _WORD_PER_BYTE
        alpha = alpha.cast(image.format)
    whole = image.bandjoin(vips.first_band(alpha))
    top = _TOP[image.format]
    return whole.unpremultiply(max_alpha=top).cast(image.format) if is_premultiplied else whole
