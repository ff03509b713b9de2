"""Writes blocks of metadata byte by byte: EXIF, XMP, IPTC, and files that hold them."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from pipeline.facts.blocks import Blocks
from pipeline.facts.iptc import records
from pipeline.facts.png_texts import PngTexts
from pipeline.facts.selection import facts_of
from pipeline.facts.tags import tags_of_block
from pipeline.facts.xmp import properties

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.facts_model import Facts

Fields = dict[int, tuple[int, object]]
"""Tag -> type and value: bytes, numbers, or pairs of numbers for fractions."""

ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_RATIONAL = 2, 3, 4, 5, 7, 10
_SHAPES = {1: "B", 3: "H", 4: "I", 5: "I", 9: "i", 10: "i", 12: "d"}

MAKE, MODEL, DESCRIPTION, ARTIST, COPYRIGHT = 0x010F, 0x0110, 0x010E, 0x013B, 0x8298
ORIGINAL, DIGITISED, PART, OFFSET, OTHER_OFFSET, COMMENT = 0x9003, 0x9004, 0x9291, 0x9011, 0x9010, 0x9286
TIME, F_NUMBER, ISO, SHUTTER, APERTURE, FLASH, FOCAL = 0x829A, 0x829D, 0x8827, 0x9201, 0x9202, 0x9209, 0x920A

POSITION: Fields = {
    1: (ASCII, b"N\0"),
    2: (RATIONAL, [(52, 1), (30, 1), (0, 1)]),
    3: (ASCII, b"W\0"),
    4: (RATIONAL, [(13, 1), (15, 1), (0, 1)]),
    5: (1, [0]),
    6: (RATIONAL, [(1234, 10)]),
    31: (RATIONAL, [(5, 1)]),
}
"""52.5 N, 13.25 W, 123.4 m, within 5 m."""

PACKET = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:cc="http://creativecommons.org/ns#"
xmlns:other="http://example.org/" {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def exif_block(image: Fields | None = None, exif: Fields | None = None, gps: Fields | None = None) -> bytes:
    """Return an EXIF block with these directories."""
    image, block = {**(image or {})}, bytearray(b"II*\0\x08\0\0\0")
    first = _directory(
        {**image, **({0x8769: (LONG, [0])} if exif else {}), **({0x8825: (LONG, [0])} if gps else {})}, 8
    )
    second = _directory(exif, 8 + len(first)) if exif else b""
    third = _directory(gps, 8 + len(first) + len(second)) if gps else b""
    pointers = {0x8769: 8 + len(first), 0x8825: 8 + len(first) + len(second)}
    wanted = {tag: (LONG, [pointers[tag]]) for tag, there in ((0x8769, exif), (0x8825, gps)) if there}
    return bytes(block) + _directory({**image, **wanted}, 8) + second + third


def _directory(fields: Mapping[int, tuple[int, object]], start: int) -> bytes:
    place = start + 2 + 12 * len(fields) + 4
    entries, values = b"", b""
    for tag, (kind, value) in sorted(fields.items()):
        raw, count = _raw(kind, value)
        if len(raw) > 4:
            inline = struct.pack("<I", place + len(values))
            values += raw + bytes(len(raw) % 2)
        else:
            inline = raw.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, count) + inline
    return struct.pack("<H", len(fields)) + entries + bytes(4) + values


def _raw(kind: int, value: object) -> tuple[bytes, int]:
    if isinstance(value, bytes):
        return value, len(value)
    assert isinstance(value, list)
    numbers = [part for one in value for part in one] if kind in (RATIONAL, SIGNED_RATIONAL) else value
    return struct.pack(f"<{len(numbers)}{_SHAPES[kind]}", *numbers), len(value)


def packet(elements: str = "", **attributes: str) -> bytes:
    """Return an XMP packet; an attribute such as `dc__title` has the name `dc:title`."""
    named = " ".join(f'{name.replace("__", ":")}="{value}"' for name, value in attributes.items())
    return PACKET.format(attributes=named, elements=elements).encode()


def iptc_block(*values: tuple[int, int, bytes], utf_8: bool = True) -> bytes:
    """Return IPTC records within the resources of Photoshop."""
    sets = [(1, 90, b"\x1b%G"), *values] if utf_8 else [*values]
    content = b"".join(b"\x1c" + bytes(name) + struct.pack(">H", len(value)) + value for *name, value in sets)
    other = b"8BIM\x03\xed\x03abc" + struct.pack(">I", 3) + b"xyz\0"
    return b"Photoshop 3.0\0" + other + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(content)) + content


def facts_in(*, exif: bytes = b"", xmp: bytes = b"", iptc: bytes = b"", texts: PngTexts | None = None) -> Facts:
    """Return the facts that these blocks hold."""
    blocks = Blocks(exif=tags_of_block(exif), xmp=properties(xmp), iptc=records(iptc), texts=texts or PngTexts())
    return facts_of(blocks, format_name="jpeg", sides=(4, 3))


def jpeg_with(path: Path, *, exif: bytes = b"", xmp: bytes = b"", iptc: bytes = b"") -> Path:
    """Put these blocks into the JPEG at `path`, behind its first marker."""
    segments = [
        (0xE1, b"Exif\0\0" + exif if exif else b""),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp if xmp else b""),
        (0xED, iptc),
    ]
    head = b"".join(
        bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content for marker, content in segments if content
    )
    plain = path.read_bytes()
    path.write_bytes(plain[:2] + head + plain[2:])
    return path


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
