"""An ICC profile reduced to the numbers that its colours are computed from.

A profile also names its owner, a camera, or a screen with its serial number, in texts and in private tags. Nothing that
displays a picture needs them.

Source: ICC.1:2022, sections 7.2, 9.2 and 10.
"""

from __future__ import annotations

import struct
from typing import Final

from pipeline.formats import icc

_PRIMARIES: Final = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
_NEEDED: Final = {icc.RGB: (b"wtpt", *_PRIMARIES), icc.GREY: (b"wtpt", b"kTRC")}
"""The tags that colours are computed from, by the colour space."""

_OPTIONAL: Final = (b"bkpt", b"chad", b"cicp")
_TEXTS: Final = (b"desc", b"cprt")
"""The tags that every profile must have, whose texts are replaced."""

_TABLES: Final = (b"A2B", b"B2A", b"D2B", b"B2D")
"""How the tags begin that hold tables of colours."""

_PARAMETERS: Final = (1, 3, 4, 5, 7)
"""The number of parameters of each type of curve."""

_NUMBER_BYTES: Final = 4
_MAX_CURVE: Final = 65_536
_TEXT: Final = b"-"
_HEADER, _ENTRY_BYTES, _ALIGNMENT = 128, 12, 4
_VERSION_4: Final = 4


def bare_profile(profile: bytes) -> bytes | None:
    """Return a profile of the same colours that holds nothing else; None if its colours need tables, or are unclear.

    Its texts are replaced, its dates, makers, serial numbers and private tags are dropped. Each remaining tag is
    written again, as long as its own type defines.
    """
    space = profile[16:20]
    if not icc.is_embeddable(profile) or space not in _NEEDED or profile[20:24] != b"XYZ ":
        return None
    tags = icc.read_tags(profile)
    kept = {name: _parsed(tags[name]) for name in (*_NEEDED[space], *_OPTIONAL) if name in tags}
    if any(name.startswith(_TABLES) for name in tags) or not all(kept.values()) or not {*_NEEDED[space]} <= {*kept}:
        return None
    texts = {name: _text(name, version=profile[8]) for name in _TEXTS if name in tags}
    return _joined(profile, {name: value for name, value in (texts | kept).items() if value})


def _joined(profile: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a profile with these tags, and of the old header only what colours depend on."""
    table, content, starts = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for name, value in tags.items():
        if value not in starts:  # the three curves are often the same
            content = content.ljust(-(-len(content) // _ALIGNMENT) * _ALIGNMENT, b"\0")
            starts[value] = _HEADER + 4 + _ENTRY_BYTES * len(tags) + len(content)
            content += value
        table += name + struct.pack(">II", starts[value], len(value))
    content = content.ljust(-(-len(content) // _ALIGNMENT) * _ALIGNMENT, b"\0")
    length = (_HEADER + len(table) + len(content)).to_bytes(4, "big")
    described = length + bytes(4) + profile[8:10] + bytes(2) + profile[12:24]  # version, class, both spaces
    head = described.ljust(36, b"\0") + profile[36:40]
    return (head.ljust(64, b"\0") + profile[64:80]).ljust(_HEADER, b"\0") + table + content  # intent, illuminant


def _parsed(tag: bytes) -> bytes | None:
    """Return a tag of numbers as long as its type defines, or None if it is not of a known type."""
    kind, length = tag[:4], _length(tag)
    return kind + bytes(4) + tag[8:length] if 8 < length <= len(tag) else None  # noqa: PLR2004 - the head of a tag


def _length(tag: bytes) -> int:
    """Return the length that a tag's own type defines, in bytes; 0 if the type is not known."""
    kind, count = tag[:4], int.from_bytes(tag[8:12], "big")
    if kind == b"curv":
        return 12 + 2 * count if count <= _MAX_CURVE else 0
    if kind == b"para":
        curve = count >> 16
        return 12 + _NUMBER_BYTES * _PARAMETERS[curve] if curve < len(_PARAMETERS) else 0
    return {b"XYZ ": 8 + 3 * _NUMBER_BYTES, b"sf32": 8 + 9 * _NUMBER_BYTES, b"cicp": 12}.get(kind, 0)


def _text(name: bytes, *, version: int) -> bytes:
    """Return a text of the type that the tag must have in this version."""
    if version >= _VERSION_4:
        return icc.text_tag(_TEXT)
    if name == b"cprt":
        return b"text" + bytes(4) + _TEXT + b"\0"
    ended = _TEXT + b"\0"
    return b"desc" + bytes(4) + len(ended).to_bytes(4, "big") + ended + bytes(4 + 4 + 2 + 1 + 67)
