"""The chunks of a WebP that its pixels, its colours and its animation need.

Source: RFC 9649, section 2.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pipeline.formats import tiff, webp
from pipeline.formats.spliced import Spliced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pipeline.formats.webp import WebpChunk

_LOSSY, _LOSSLESS, _EXTENDED, _ALPHA, _PROFILE = b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"
_ANIMATION, _FRAME, _EXIF = b"ANIM", b"ANMF", b"EXIF"
_EXTENDED_BYTES, _ANIMATION_BYTES, _FRAME_BYTES = 10, 6, 16
_HAS_PROFILE, _HAS_ALPHA, _MOVES = 0x20, 0x10, 0x02
_ALPHA_METHOD, _SIDE = 0x03, 0x3FFF
_USED_BITS: Final = 3
"""The bits of a frame that define how it is blended and disposed of; the others are reserved."""

_Parts = tuple[bytes | range, ...]


def copied(path: Path, profile: bytes) -> Spliced | None:
    """Return a WebP without metadata; None if it lacks a chunk, or if any EXIF turns it, even an undeclared one."""
    with path.open("rb") as file:
        found = list(webp.chunks(file))
        head = found[0] if found else None
        if any(chunk.kind == _EXIF and tiff.is_turned(webp.content(file, chunk)) for chunk in found):
            return None
        if head and head.kind == _EXTENDED:
            parts = _extended(file, found, profile)
        else:
            parts = _chunk(head) if head and head.kind in (_LOSSY, _LOSSLESS) and not profile else None
    if parts is None:
        return None
    return Spliced(path, (webp.head(sum(map(len, parts))), *parts))


def _extended(file: BinaryIO, found: Sequence[WebpChunk], profile: bytes) -> _Parts | None:
    """Return the chunks of a file with an extended header, whose flags are those of the copy."""
    header = webp.content(file, found[0], _EXTENDED_BYTES + 1)
    if len(header) != _EXTENDED_BYTES:
        return None
    moves = bool(header[0] & _MOVES)
    picture = _animation(file, found) if moves else _still(file, found)
    if picture is None:
        return None
    flags = (header[0] & (_HAS_ALPHA | _MOVES)) | (_HAS_PROFILE if profile else 0)
    embedded = webp.chunk(_PROFILE, profile) if profile else b""
    return (webp.chunk(_EXTENDED, bytes((flags, 0, 0, 0)) + header[4:]), embedded, *picture)


def _still(file: BinaryIO, found: Sequence[WebpChunk]) -> _Parts | None:
    """Return the chunks of one image, the alpha of which may be separate; None if there are none, or several.

    Alpha that is not compressed must have one byte for each pixel.
    """
    pictures = [chunk for chunk in found if chunk.kind in (_LOSSY, _LOSSLESS)]
    if len(pictures) != 1 or any(chunk.kind == _FRAME for chunk in found):
        return None
    alphas = [chunk for chunk in found if chunk.kind == _ALPHA and pictures[0].kind == _LOSSY]
    if len(alphas) > 1 or any(alpha.start > pictures[0].start for alpha in alphas):
        return None
    if any(not webp.content(file, alpha, 1) or _has_rest(file, alpha, pictures[0]) for alpha in alphas):
        return None
    return tuple(part for chunk in (*alphas, *pictures) for part in _chunk(chunk))


def _has_rest(file: BinaryIO, alpha: WebpChunk, picture: WebpChunk) -> bool:
    """Return whether alpha that is not compressed has bytes that belong to no pixel: section 2.7.1.2."""
    if webp.content(file, alpha, 1)[0] & _ALPHA_METHOD:
        return False
    width, height = struct.unpack("<HH", webp.content(file, picture, 10)[6:].ljust(4, b"\0"))
    return bool(alpha.length != 1 + (width & _SIDE) * (height & _SIDE))


def _animation(file: BinaryIO, found: Sequence[WebpChunk]) -> _Parts | None:
    """Return the chunk that describes an animation, and its frames."""
    descriptions = [chunk for chunk in found if chunk.kind == _ANIMATION]
    frames = [chunk for chunk in found if chunk.kind == _FRAME]
    if len(descriptions) != 1 or descriptions[0].length != _ANIMATION_BYTES or not frames:
        return None
    parts: list[bytes | range] = [*_chunk(descriptions[0])]
    for frame in frames:
        file.seek(frame.start)
        header = file.read(_FRAME_BYTES)
        picture = _still(
            file, list(webp.chunks(file, within=range(frame.start + _FRAME_BYTES, frame.start + frame.length)))
        )
        if picture is None or len(header) < _FRAME_BYTES:
            return None
        length = _FRAME_BYTES + sum(map(len, picture))
        parts += [_FRAME + length.to_bytes(4, "little") + header[:-1] + bytes((header[-1] & _USED_BITS,)), *picture]
    return tuple(parts)


def _chunk(chunk: WebpChunk) -> _Parts:
    """Return a chunk as it is, except for the byte that fills an odd length."""
    head = chunk.kind + chunk.length.to_bytes(4, "little")
    return (head, range(chunk.start, chunk.start + chunk.length), bytes(chunk.length % 2))
