"""The blocks of metadata of an opened original, wherever its format has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.facts.iptc import Records, records
from pipeline.facts.png_texts import PngTexts, png_texts
from pipeline.facts.tags import ExifTags, tags_of_block, tags_of_file
from pipeline.facts.xmp import Properties, properties
from pipeline.image import vips

if TYPE_CHECKING:
    from pipeline.decode.original import Original

_XMP, _IPTC, _PHOTOSHOP = "xmp-data", "iptc-data", "photoshop-data"
_MOST_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """EXIF, XMP and IPTC of an original, and the texts of a PNG; empty where it has none."""

    exif: ExifTags = field(default_factory=ExifTags)
    xmp: Properties = field(default_factory=Properties)
    iptc: Records = field(default_factory=Records)
    texts: PngTexts = field(default_factory=PngTexts)


def blocks_of(original: Original) -> Blocks:
    """Return the blocks of an original."""
    texts = png_texts(original.path) if original.readable.name == "png" else PngTexts()
    return Blocks(
        exif=_exif(original, texts),
        xmp=properties(_block(original, _XMP) or texts.blocks.get("xmp", b"")),
        iptc=records(_block(original, _IPTC) or _block(original, _PHOTOSHOP) or texts.blocks.get("iptc", b"")),
        texts=texts,
    )


def _exif(original: Original, texts: PngTexts) -> ExifTags:
    if original.readable.name == "tiff":
        with original.path.open("rb") as file:
            return tags_of_file(file)
    return tags_of_block(_block(original, vips.EXIF) or texts.blocks.get("exif", b""))


def _block(original: Original, field: str) -> bytes:
    header = original.header
    block = bytes(header.get(field)) if header.get_typeof(field) else b""
    return block if len(block) <= _MOST_BYTES else b""
