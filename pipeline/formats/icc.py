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
