"""The header and tags of an ICC profile: whether it describes its image, and whether a matrix converts its colours.

Source: ICC.1:2022, sections 7.2, 7.3 and 10.
"""

from __future__ import annotations

import struct
from itertools import chain
from operator import mul

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

_FIXED = 65_536
_MATRIX_ONE = 16_384
_TO_SRGB = (
    (31_338_561, -16_168_667, -4_906_146), (-9_787_684, 19_161_415, 334_540), (719_453, -2_289_914, 14_052_427),
)  # fmt: skip
"""From XYZ under D50 to linear sRGB (adapted by Bradford), in parts of ten million."""

_TEN_MILLION = 10_000_000
_MAX_CURVE_DIFFERENCE = 0.002
"""Of a parameter of sRGB's curve. Roundings of known profiles reach 0.0015, which changes no level by more than one."""

_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def of_primaries(number: int | None) -> bytes:
    """Return a profile of a screen with these primaries and sRGB's transfer function; empty for those of sRGB."""
    if number not in _PRIMARIES:
        return b""
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(*_SRGB_CURVE)
    colours = [b"XYZ " + bytes(4) + _fixed(*colour) for colour in (*_PRIMARIES[number], _WHITE)]
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), colours, strict=True))
    tags |= {name: text_tag(b"screen") for name in (b"desc", b"cprt")}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, content = struct.pack(">I", len(tags)), b""
    start = _TABLE + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(content), len(value))
        content += value
    head = struct.pack(">I8s4s4s4s", start + len(content), b"\0\0\0\0\4\x30\0\0", b"mntr", RGB, b"XYZ ")
    head = head.ljust(36, b"\0") + _SIGNATURE
    return (head.ljust(68, b"\0") + _fixed(*_WHITE)).ljust(_HEADER, b"\0") + table + content


def matrix_to_srgb(profile: bytes) -> tuple[int, ...] | None:
    """Return the nine numbers, in parts of 16,384, that convert linear light to sRGB's; None if there are none.

    The profile must be of a screen, with primaries and sRGB's curve and without tables of colours. Computed in whole
    numbers. Each row adds up to 1, so grey stays grey.
    """
    tags = read_tags(profile)
    if any(name.startswith((b"A2B", b"D2B")) for name in tags) or profile[20:24] != b"XYZ ":
        return None
    curves = {tags.get(name, b"") for name in (b"rTRC", b"gTRC", b"bTRC")}
    colours = [_numbers(tags.get(name, b""), b"XYZ ", 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    if not all(map(_is_srgb_curve, curves)) or any(len(colour) != len(colours) for colour in colours):
        return None
    unit = _TEN_MILLION * _FIXED // _MATRIX_ONE
    rows = [[(2 * sum(map(mul, shares, colour)) + unit) // (2 * unit) for colour in colours] for shares in _TO_SRGB]
    for row in rows:
        row[row.index(max(row))] += _MATRIX_ONE - sum(row)
    is_in_range = all(sum(map(abs, row)) < 2 * _MATRIX_ONE for row in rows)
    return tuple(chain.from_iterable(rows)) if is_in_range else None


def _is_srgb_curve(tag: bytes) -> bool:
    if tag[8:10] != b"\0\3":  # the type of curve that sRGB has
        return False
    found = _numbers(tag, b"para", 12)
    return len(found) == len(_SRGB_CURVE) and all(
        abs(number / _FIXED - wanted) <= _MAX_CURVE_DIFFERENCE
        for number, wanted in zip(found, _SRGB_CURVE, strict=True)
    )


def read_tags(profile: bytes) -> dict[bytes, bytes]:
    """Return the values of the tags in the table of a profile, by their signatures."""
    count = int.from_bytes(profile[_HEADER:_TABLE], "big")
    table = profile[_TABLE : _TABLE + 12 * count]
    found = struct.iter_unpack(">4sII", table[: len(table) // 12 * 12])
    return {name: profile[start : start + length] for name, start, length in found}


def _numbers(tag: bytes, kind: bytes, start: int) -> tuple[int, ...]:
    """Return the fixed-point numbers of a tag, in parts of 65,536; empty if it is of another kind."""
    values = tag[start:]
    return struct.unpack(f">{len(values) // 4}i", values[: len(values) // 4 * 4]) if tag[:4] == kind else ()


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * _FIXED) for number in numbers))


def text_tag(ascii_text: bytes) -> bytes:
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
