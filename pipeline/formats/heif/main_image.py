"""The boxes of a HEIC or AVIF file: what its main image consists of, and where each part of it lies in the file.

Decoders fill a missing tile with a flat colour and report success, so the file is checked before they see it. Sources:
ISO/IEC 14496-12 (boxes), 23008-12 (HEIF), 23000-22 (MIAF), and the AVIF specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.errors import UnsupportedFormat
from pipeline.formats.heif import boxes
from pipeline.formats.heif.boxes import Cursor, Item, Property, damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.formats.heif.boxes import Contents, Extent

HEVC, AV1 = b"hvc1", b"av01"
_CONFIGURATION = {HEVC: b"hvcC", AV1: b"av1C"}
_SIZE, _COLOUR, _AUXILIARY, _CROP, _TURN, _MIRROR = b"ispe", b"colr", b"auxC", b"clap", b"irot", b"imir"
_CARRIED = (b"hvcC", b"av1C", b"ispe", b"pixi", b"a1op", b"a1lx", b"lsel")
"""The properties that a decoder needs for a coded image."""

_KNOWN = (*_CARRIED, _COLOUR, _AUXILIARY, _CROP, _TURN, _MIRROR)
_ALPHA = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
)
_NCLX, _FULL_RANGE = b"nclx", 0x80
_PROFILES = (b"prof", b"rICC")
_EXIF, _XMP = b"Exif", b"application/rdf+xml"
_MOST_METADATA_BYTES = 1 << 20
_COLOUR_BYTES = 19
_MOST_SIDE = 1 << 20
_MOST_TILES = 4096
_MOST_CARRIED_BYTES = 1 << 14
_GRID_LARGE = 1

_ORIENTATIONS = {
    (False, 0): 1, (True, 0): 2, (False, 2): 3, (True, 2): 4, (True, 3): 5, (False, 1): 6, (True, 1): 7, (False, 3): 8,
}  # fmt: skip
"""EXIF orientations: whether the image is mirrored left to right, and then turned by how many quarters clockwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """An image that one decoder call decodes: its codec, dimensions, bytes, and the boxes that describe it."""

    codec: bytes
    sides: tuple[int, int]
    extents: tuple[Extent, ...]
    properties: tuple[bytes, ...]
    configuration: bytes
    """The codec's configuration record."""
    matrix: int | None
    """H.273's number of the matrix between RGB and the coded colours; None if only the bit stream defines it."""
    primaries: int | None
    transfer: int | None
    """H.273's numbers; None as above."""
    is_grey: bool
    is_full_range: bool | None
    """None as above."""

    @property
    def length(self) -> int:
        """The number of bytes of compressed data."""
        return sum(extent.length for extent in self.extents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Colours or alpha: tiles in rows from the top left, which together cover at least `sides`."""

    sides: tuple[int, int]
    columns: int
    tiles: tuple[Coded, ...]

    @property
    def is_grey(self) -> bool:
        """Whether there is one band."""
        return self.tiles[0].is_grey

    @property
    def tile_sides(self) -> tuple[int, int]:
        """Width and height of each tile, in pixels."""
        return self.tiles[0].sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """A block of EXIF or XMP, with the media type of the latter."""

    kind: bytes
    content_type: bytes
    extents: tuple[Extent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MainImage:
    """The main image of a file; `orientation` is EXIF's, applied after `crop` (left, top, width, height)."""

    colour: Plane
    alpha: Plane | None
    is_premultiplied: bool
    crop: tuple[int, int, int, int] | None
    orientation: int
    profile: bytes
    """The box with the ICC profile; empty if there is none."""
    metadata: tuple[Metadata, ...]
    """At most 1 MiB each; what is longer is left out."""

    @property
    def sides(self) -> tuple[int, int]:
        """Width and height in pixels as stored: after the crop, before the orientation is applied."""
        return self.crop[2:] if self.crop else self.colour.sides


def read(path: Path) -> MainImage:
    """Return the main image of a file, whose every part lies within the file.

    Raises:
        Corrupt: the file is truncated, or its boxes are invalid.
        UnsupportedFormat: the image has a structure or a codec that is not supported.
    """
    with path.open("rb") as file:
        contents = boxes.read(file)
        return _picture(_Reader(contents, _grids(file, contents), _alphas(contents)), contents)


def payload(path: Path, image: Coded | Metadata) -> bytes:
    """Return the compressed data of an image, or a block of metadata."""
    with path.open("rb") as file:
        return boxes.bytes_of(file, image.extents)


@dataclass(frozen=True, slots=True)
class _Reader:
    contents: Contents
    grids: dict[int, bytes]
    alphas: dict[int, int]

    def plane(self, number: int) -> Plane:
        item = self._item(number)
        if item.kind != b"grid":
            image = self.coded(number, colour=None)
            return Plane(sides=image.sides, columns=1, tiles=(image,))
        if number not in self.grids:
            raise damaged("its grid is too long")
        rows, columns, sides = _layout(self.grids[number])
        parts = self.contents.references.get((b"dimg", number), ())
        if rows * columns > _MOST_TILES or len(parts) != rows * columns:
            raise damaged("its grid and its tiles do not match")
        colour = _colour(self._properties(item))
        tiles = {part: self.coded(part, colour=colour) for part in set(parts)}
        plane = Plane(sides=sides, columns=columns, tiles=tuple(tiles[part] for part in parts))
        _check_tiles(plane, rows=rows)
        return plane

    def coded(self, number: int, *, colour: bytes | None) -> Coded:
        """Return a coded image; `colour` is the grid's colour box, for tiles without one of their own."""
        item = self._item(number)
        codec = HEVC if item.kind == b"hev1" else item.kind
        if codec not in _CONFIGURATION:
            raise UnsupportedFormat(sentences.HEIF_KIND.format(kind=repr(item.kind.decode("latin-1"))))
        properties = self._properties(item)
        boxes = {one.kind: one.box for one in properties}
        configuration = boxes.get(_CONFIGURATION[codec], b"")[8:]
        if not configuration or not any(extent.length for extent in item.extents):
            raise damaged("a part of the image has no data")
        colour = _colour(properties) or colour
        carried = tuple(boxes[kind] for kind in _CARRIED if kind in boxes)
        if sum(map(len, carried)) > _MOST_CARRIED_BYTES:
            raise damaged("a property is too large")
        return Coded(
            codec=codec,
            sides=_sides(properties),
            extents=item.extents,
            properties=(*carried, colour) if colour else carried,
            configuration=configuration,
            matrix=int.from_bytes(colour[-3:-1], "big") if colour else None,
            primaries=int.from_bytes(colour[-7:-5], "big") if colour else None,
            transfer=int.from_bytes(colour[-5:-3], "big") if colour else None,
            is_grey=_is_grey(codec, configuration),
            is_full_range=bool(colour[-1] & _FULL_RANGE) if colour else None,
        )

    def alpha(self, number: int, colour: Plane) -> Plane | None:
        """Return the alpha of an image, or the alphas of its tiles; None if it has none."""
        if (own := self.alphas.get(number)) is not None:
            return self.plane(own)
        if colour.columns == len(colour.tiles) == 1:
            return None
        parts = [self.alphas.get(part) for part in self.contents.references[b"dimg", number]]
        found = [self.coded(part, colour=None) for part in parts if part is not None]
        if not found:
            return None
        if len(found) != len(parts):
            raise damaged("some of its tiles have no alpha")
        return Plane(sides=colour.sides, columns=colour.columns, tiles=tuple(found))

    def transforms(self, number: int) -> tuple[Property, ...]:
        """Return how an image is cropped, turned and mirrored, in this order."""
        return tuple(one for one in self._properties(self._item(number)) if one.kind in (_CROP, _TURN, _MIRROR))

    def profile(self, number: int) -> bytes:
        """Return the box with the ICC profile of an image, or of its first tile; empty if there is none."""
        for part in (number, *self.contents.references.get((b"dimg", number), ())[:1]):
            for one in self._properties(self._item(part)):
                if one.kind == _COLOUR and one.content[:4] in _PROFILES:
                    return one.box
        return b""

    def _item(self, number: int) -> Item:
        try:
            return self.contents.items[number]
        except KeyError as missing:
            raise damaged("a part of the image is missing") from missing

    def _properties(self, item: Item) -> tuple[Property, ...]:
        found = self.contents.properties_of(item)
        unknown = [one.kind for one in found if one.is_essential and one.kind not in _KNOWN]
        if unknown or item.is_protected:
            raise UnsupportedFormat(sentences.HEIF_FEATURE)
        return found


def _picture(reader: _Reader, contents: Contents) -> MainImage:
    number = contents.primary
    colour = reader.plane(number)
    crop, orientation = _transformed(reader.transforms(number), colour.sides)
    alpha = reader.alpha(number, colour)
    return MainImage(
        colour=colour,
        alpha=alpha,
        is_premultiplied=bool(alpha and contents.references.get((b"prem", number))),
        crop=crop,
        orientation=orientation,
        profile=reader.profile(number),
        metadata=tuple(_metadata(contents)),
    )


def _metadata(contents: Contents) -> Iterator[Metadata]:
    """Yield the first block of EXIF and of XMP that describe the main image."""
    seen = set()
    for number, item in contents.items.items():
        is_known = item.kind == _EXIF or item.content_type == _XMP
        describes = contents.primary in contents.references.get((b"cdsc", number), ())
        length = sum(extent.length for extent in item.extents)
        if is_known and describes and item.kind not in seen and not item.is_protected:
            seen.add(item.kind)
            if length <= _MOST_METADATA_BYTES:
                yield Metadata(kind=item.kind, content_type=item.content_type, extents=item.extents)


def _grids(file: boxes.File, contents: Contents) -> dict[int, bytes]:
    return {
        number: boxes.bytes_of(file, item.extents)
        for number, item in contents.items.items()
        if item.kind == b"grid" and sum(extent.length for extent in item.extents) <= boxes.MOST_GRID_BYTES
    }


def _alphas(contents: Contents) -> dict[int, int]:
    """Return the item with the alpha of each item that has one."""
    found = {}
    for (kind, source), targets in contents.references.items():
        if kind == b"auxl" and _is_alpha(contents.properties_of(contents.items.get(source))):
            found.update(dict.fromkeys(targets, source))
    return found


def _is_alpha(properties: Sequence[Property]) -> bool:
    return any(one.kind == _AUXILIARY and one.content[4:].split(b"\0")[0] in _ALPHA for one in properties)


def _layout(grid: bytes) -> tuple[int, int, tuple[int, int]]:
    """Return the rows, the columns and the dimensions of a grid."""
    cursor = Cursor(grid)
    cursor.number(1)
    width = 4 if cursor.number(1) & _GRID_LARGE else 2
    rows, columns = cursor.number(1) + 1, cursor.number(1) + 1
    return rows, columns, _checked((cursor.number(width), cursor.number(width)))


def _check_tiles(plane: Plane, *, rows: int) -> None:
    first = plane.tiles[0]
    alike = all((one.codec, one.sides, one.is_grey) == (first.codec, first.sides, first.is_grey) for one in plane.tiles)
    covers = all(
        (count - 1) * tile < side <= count * tile
        for count, tile, side in zip((plane.columns, rows), first.sides, plane.sides, strict=True)
    )
    if not alike or not covers:
        raise damaged("its tiles do not cover the image")


def _sides(properties: Sequence[Property]) -> tuple[int, int]:
    for one in properties:
        if one.kind == _SIZE:
            cursor = Cursor(one.content)
            cursor.number(4)
            return _checked((cursor.number(4), cursor.number(4)))
    raise damaged("the image has no dimensions")


def _checked(sides: tuple[int, int]) -> tuple[int, int]:
    if min(sides) < 1 or max(sides) > _MOST_SIDE:
        raise damaged("the dimensions of the image are invalid")
    return sides


def _colour(properties: Sequence[Property]) -> bytes | None:
    """Return the box with the coding of the colours (`nclx`)."""
    boxes = (one.box for one in properties if one.kind == _COLOUR and one.content[:4] == _NCLX)
    return next((box for box in boxes if len(box) == _COLOUR_BYTES), None)


def _is_grey(codec: bytes, content: bytes) -> bool:
    if codec == AV1:
        return len(content) > 2 and bool(content[2] & 0x10)  # noqa: PLR2004 - `monochrome`
    return len(content) > 16 and content[16] & 3 == 0  # noqa: PLR2004 - `chroma_format_idc`


def _transformed(
    properties: Sequence[Property], sides: tuple[int, int]
) -> tuple[tuple[int, int, int, int] | None, int]:
    """Return the crop, and the EXIF orientation of all turns and mirrors together."""
    crop, is_mirrored, turns = None, False, 0
    for one in properties:
        if one.kind == _CROP:
            if (is_mirrored, turns) != (False, 0) or crop:
                raise UnsupportedFormat(sentences.HEIF_CROP)
            crop = _crop(Cursor(one.content), sides)
        elif one.kind == _TURN:
            turns -= Cursor(one.content).number(1) & 3  # counted against the clock in the file
        else:
            is_left_to_right = Cursor(one.content).number(1) & 1
            is_mirrored, turns = not is_mirrored, (0 if is_left_to_right else 2) - turns
    return crop, _ORIENTATIONS[is_mirrored, turns % 4]


def _crop(cursor: Cursor, sides: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the clean aperture in whole pixels, rounded as libheif does."""
    width, height, across, down = (
        (cursor.number(4), cursor.number(4)),
        (cursor.number(4), cursor.number(4)),
        (cursor.signed(4), cursor.number(4)),
        (cursor.signed(4), cursor.number(4)),
    )
    if 0 in (width[1], height[1], across[1], down[1]):
        raise damaged("its crop is invalid")
    left, top = _start(sides[0], width, across), _start(sides[1], height, down)
    found = _rounded(width), _rounded(height)
    if min(left, top) < 0 or min(found) < 1 or left + found[0] > sides[0] or top + found[1] > sides[1]:
        raise damaged("its crop is outside of the image")
    return left, top, *found


def _start(side: int, length: tuple[int, int], offset: tuple[int, int]) -> int:
    """Return `side / 2 + offset - length / 2`, rounded down; the last two are fractions."""
    (above, below), (moved, parts) = length, offset
    return (2 * moved * below + (side * below - above) * parts) // (2 * parts * below)


def _rounded(fraction: tuple[int, int]) -> int:
    return (2 * fraction[0] + fraction[1]) // (2 * fraction[1])
