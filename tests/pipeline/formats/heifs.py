"""HEIC and AVIF files composed for tests: tiles in a grid as phones write them, alpha, turns, mirrors and crops."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Literal

import pillow_heif

from pipeline.formats.heif import main_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import PIL.Image

Codec = Literal["heic", "avif"]
ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, content: bytes, *, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags) + content)


def turn(quarters: int) -> bytes:
    """Return the property that turns an image by quarters, against the clock."""
    return box(b"irot", bytes([quarters]))


def mirror(*, is_left_to_right: bool) -> bytes:
    return box(b"imir", bytes([is_left_to_right]))


def crop(width: int, height: int, across: tuple[int, int], down: tuple[int, int]) -> bytes:
    """Return the property that crops to a size, moved from the centre by fractions of a pixel."""
    return box(b"clap", struct.pack(">4IiIiI", width, 1, height, 1, *across, *down))


def size(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


@dataclass(frozen=True, kw_only=True)
class Part:
    """An item: its kind, its data, its properties, and its references by kind to other parts by their place."""

    kind: bytes
    data: bytes
    properties: tuple[bytes, ...] = ()
    references: dict[bytes, Sequence[int]] = field(default_factory=dict)


def coded(picture: PIL.Image.Image, codec: Codec, **options: object) -> Part:
    """Encode a picture with libheif, and take the coded image from the file."""
    stored = BytesIO()
    if codec == "heic":
        pillow_heif.from_pillow(picture).save(stored, quality=90, enc_params={"preset": "ultrafast"}, **options)
    else:
        picture.save(stored, "AVIF", **{"quality": 90, "speed": 9, **options})
    return part_of(stored.getvalue())


def part_of(file: bytes) -> Part:
    """Return the coded image of a file that has no more than that."""
    with NamedTemporaryFile() as stored:
        stored.write(file)
        stored.flush()
        image = main_image.read(Path(stored.name)).colour.tiles[0]
    data = b"".join(file[extent.start : extent.start + extent.length] for extent in image.extents)
    return Part(kind=image.codec, data=data, properties=image.properties)


def grid(tiles: Sequence[Part], columns: int, sides: tuple[int, int], *, first: int = 1) -> list[Part]:
    """Return a grid and its tiles, which are the parts from `first` on; the grid is the part before."""
    layout = struct.pack(">BBBBHH", 0, 0, len(tiles) // columns - 1, columns - 1, *sides)
    head = Part(
        kind=b"grid", data=layout, properties=(size(*sides),), references={b"dimg": range(first, first + len(tiles))}
    )
    return [head, *tiles]


def tiled(picture: PIL.Image.Image, side: int, codec: Codec, **options: object) -> list[Part]:
    """Return the parts of a picture in square tiles, the last ones of a row or column filled up."""
    columns, rows = (-(-length // side) for length in picture.size)
    canvas = picture.crop((0, 0, columns * side, rows * side))
    tiles = [
        coded(canvas.crop((x * side, y * side, (x + 1) * side, (y + 1) * side)), codec, **options)
        for y in range(rows)
        for x in range(columns)
    ]
    return grid(tiles, columns, picture.size)


def repeated(picture: PIL.Image.Image, side: int, sides: tuple[int, int], codec: Codec) -> list[Part]:
    """Return the parts of a large image, whose square tiles are those of a small picture over and over."""
    tiles = tiled(picture, side, codec)[1:]
    columns, rows = (-(-length // side) for length in sides)
    return grid([tiles[number % len(tiles)] for number in range(columns * rows)], columns, sides)


def compose(parts: Sequence[Part], codec: Codec) -> bytes:
    """Return a file whose main image is the first part."""
    head = _head(parts, codec, place=0)
    return _head(parts, codec, place=len(head)) + b"".join(part.data for part in parts)


def _head(parts: Sequence[Part], codec: Codec, *, place: int) -> bytes:
    properties = list(dict.fromkeys(one for part in parts for one in part.properties))
    entries, locations, references, associations = b"", b"", b"", b""
    for number, part in enumerate(parts, start=1):
        entries += full_box(b"infe", struct.pack(">HH4sB", number, 0, part.kind, 0), version=2)
        locations += struct.pack(">HHHII", number, 0, 1, place, len(part.data))
        place += len(part.data)
        numbers = [properties.index(one) + 1 for one in part.properties]
        associations += struct.pack(">HB", number, len(numbers)) + bytes(numbers)
        for kind, targets in part.references.items():
            own = struct.pack(f">HH{len(targets)}H", number, len(targets), *(target + 1 for target in targets))
            references += box(kind, own)
    content = (
        full_box(b"hdlr", struct.pack(">I4s13x", 0, b"pict"))
        + full_box(b"pitm", struct.pack(">H", 1))
        + full_box(b"iloc", b"\x44\0" + struct.pack(">H", len(parts)) + locations)
        + full_box(b"iinf", struct.pack(">H", len(parts)) + entries)
        + full_box(b"iref", references)
        + box(
            b"iprp",
            box(b"ipco", b"".join(properties)) + full_box(b"ipma", struct.pack(">I", len(parts)) + associations),
        )
    )
    brand = codec.encode()
    length = sum(len(part.data) for part in parts)
    kinds = box(b"ftyp", brand + bytes(4) + b"mif1" + brand)
    return kinds + full_box(b"meta", content) + struct.pack(">I4s", 8 + length, b"mdat")


def write(path: Path, parts: Sequence[Part], codec: Codec) -> Path:
    path.write_bytes(compose(parts, codec))
    return path
