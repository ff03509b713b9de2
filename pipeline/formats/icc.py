"""The header and tag table of an ICC profile, used to ignore profiles that do not describe the image they are in.

Source: ICC.1:2022, sections 7.2 and 7.3.
"""

from __future__ import annotations

import struct

RGB, GREY, CMYK, LAB = b"RGB ", b"GRAY", b"CMYK", b"Lab "
"""The colour spaces of the images that are rendered."""

_HEADER, _TABLE = 128, 132
_SIGNATURE = b"acsp"
_DEVICES = frozenset({b"scnr", b"mntr", b"prtr", b"spac"})
"""The classes of profiles that describe colours; others link devices, add effects or name single colours."""

_CONNECTION_SPACES = frozenset({b"XYZ ", b"Lab "})
_ALIGNED_FROM_VERSION, _ALIGNMENT = 4, 4
_MAX_INTENT = 0xFFFF


_WHITE = (0.9642, 1.0, 0.8249)
_PRIMARIES = {
    9: ((0.6735, 0.2790, -0.0019), (0.1657, 0.6753, 0.0300), (0.1250, 0.0456, 0.7969)),
    12: ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
}
"""Red, green and blue of BT.2020 and of Display P3 in XYZ under D50 (adapted by Bradford), by H.273's number."""

_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def of_primaries(number: int | None) -> bytes:
    """Return a profile of a screen with these primaries and sRGB's transfer function; empty for those of sRGB."""
    if number not in _PRIMARIES:
        return b""
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(*_SRGB_CURVE)
    colours = [b"XYZ " + bytes(4) + _fixed(*colour) for colour in (*_PRIMARIES[number], _WHITE)]
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), colours, strict=True))
    tags |= {name: _text(b"screen") for name in (b"desc", b"cprt")}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, content = struct.pack(">I", len(tags)), b""
    start = _TABLE + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(content), len(value))
        content += value
    head = struct.pack(">I8s4s4s4s", start + len(content), b"\0\0\0\0\4\x30\0\0", b"mntr", RGB, b"XYZ ")
    head = head.ljust(36, b"\0") + _SIGNATURE
    return (head.ljust(68, b"\0") + _fixed(*_WHITE)).ljust(_HEADER, b"\0") + table + content


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65_536) for number in numbers))


def _text(ascii_text: bytes) -> bytes:
    """Return a text of an even number of characters, in the one language that a profile must have."""
    text = b"".join(bytes((0, letter)) for letter in ascii_text)  # UTF-16; its codec is a module of its own
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text


def is_profile(head: bytes) -> bool:
    """Return whether bytes begin like a profile."""
    return head[36:40] == _SIGNATURE


def describes(profile: bytes, space: bytes) -> bool:
    """Return whether a profile is one of a device with this colour space; browsers ignore any other."""
    return len(profile) >= _HEADER and profile[16:20] == space and profile[12:16] in _DEVICES


def trimmed(profile: bytes) -> bytes:
    """Return the profile without the bytes behind the length that it states."""
    stated = int.from_bytes(profile[:4], "big")
    return profile[:stated] if _TABLE <= stated < len(profile) else profile


def is_embeddable(profile: bytes) -> bool:
    """Return whether every encoder accepts the profile; libpng is the strictest, and refuses to write a damaged one."""
    if len(profile) < _TABLE or int.from_bytes(profile[:4], "big") != len(profile) or not is_profile(profile):
        return False
    if profile[8] >= _ALIGNED_FROM_VERSION and len(profile) % _ALIGNMENT:
        return False
    if int.from_bytes(profile[64:68], "big") >= _MAX_INTENT or profile[20:24] not in _CONNECTION_SPACES:
        return False
    tags = int.from_bytes(profile[_HEADER:_TABLE], "big")
    table = profile[_TABLE : _TABLE + 12 * tags]
    return len(table) == 12 * tags and all(
        start <= len(profile) and length <= len(profile) - start
        for _, start, length in struct.iter_unpack(">4sII", table)
    )
