"""What of an original's metadata may reach a derivative: how it was held, and whose it is."""

from __future__ import annotations

import re
import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from pipeline.formats import tiff
from pipeline.image import vips

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips

UPRIGHT = 1
"""The orientation of a picture that needs no turning."""

_FIRST_TURNED = 5
"""EXIF orientations 5 to 8 exchange rows and columns."""

_OWNER = {tiff.ARTIST: 1, tiff.COPYRIGHT: 2}
"""The fields that name an owner, and how many names each has, parted by a zero: a photographer's and an editor's."""

_ASCII, _ENTRY_BYTES, _INLINE_BYTES = 2, 12, 4
_SPACE, _LONGEST_CHARACTER = 0x20, 4
_FIRST = b"II*\0\x08\0\0\0"
_FURTHER = 0x8769
"""The field of libvips' EXIF that points to its last part."""

_PNG_CHUNK = b"eXIf"


def orientation(image: pyvips.Image) -> int:
    """Read how the camera was held: 1 to 8 as EXIF counts, 1 where the tag is absent or makes no sense."""
    value = vips.number(image, "orientation", default=UPRIGHT)
    return value if 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004 - EXIF's eight


def is_turned(orientation: int) -> bool:
    """Tell whether the picture lies on its side, so that its stored height is what a person calls its width."""
    return orientation >= _FIRST_TURNED


def upright(image: pyvips.Image) -> pyvips.Image:
    """Turn and mirror the picture as its orientation says."""
    return image.autorot()


def owner(image: pyvips.Image, path: Path) -> dict[int, bytes]:
    """Read who made the picture and who holds the right to it, as the file writes it: fields of EXIF or of a TIFF."""
    if image.get_typeof(vips.EXIF):
        directory = tiff.directory_of(BytesIO(bytes(image.get(vips.EXIF)).removeprefix(b"Exif\0\0")))
    else:
        directory = tiff.directory(path)
    texts = {field: _bounded(directory.texts.get(field, b""), names=names) for field, names in _OWNER.items()}
    return {field: text for field, text in texts.items() if text}


def exif(owner: dict[int, bytes]) -> bytes:
    """Write a block of EXIF that names the owner and nothing else."""
    place = len(_FIRST) + 2 + _ENTRY_BYTES * len(owner) + 4
    entries, texts = b"", b""
    for field, text in sorted(owner.items()):
        ended = text + b"\0"
        is_long = len(ended) > _INLINE_BYTES
        where = struct.pack("<I", place + len(texts)) if is_long else ended.ljust(_INLINE_BYTES, b"\0")
        entries += struct.pack("<HHI", field, _ASCII, len(ended)) + where
        texts += ended + bytes(len(ended) % 2) if is_long else b""
    return _FIRST + struct.pack("<H", len(owner)) + entries + bytes(4) + texts


def keep_nothing_else(path: Path, block: bytes) -> None:
    """Put a block of EXIF in the place of the one that libvips has written of it.

    libvips adds orientation, resolution and its own idea of the colours to whatever block it is given, so that its own
    is the longer one; what is left of it becomes zeros.

    Raises:
        RuntimeError: libvips has written none, or one unlike those that it used to write.
    """
    content = path.read_bytes()
    found = re.search(re.escape(_FIRST) + rb"..\x12\x01\x03\x00", content, re.DOTALL)
    length = _length(content[found.start() :]) if found else 0
    if not found or length < len(block):
        raise RuntimeError("libvips writes EXIF otherwise than it did.")
    start, padded = found.start(), block.ljust(length, b"\0")
    with path.open("r+b") as file:
        file.seek(start)
        file.write(padded)
        if content[start - len(_PNG_CHUNK) : start] == _PNG_CHUNK:
            file.write(zlib.crc32(_PNG_CHUNK + padded).to_bytes(4, "big"))


def _length(block: bytes) -> int:
    """Tell how long libvips' block is: up to the end of its second directory, which is its last part."""
    for start in range(len(_FIRST) + 2, len(block) - _ENTRY_BYTES, _ENTRY_BYTES):
        field, _, _, value = struct.unpack_from("<HHII", block, start)
        if field == _FURTHER:
            return int(value + 2 + _ENTRY_BYTES * struct.unpack_from("<H", block, value)[0] + 4)
    return 0


def _bounded(text: bytes, *, names: int) -> bytes:
    """Keep a text's bytes as they are, whatever alphabet they are in, but for what is no text, and a cut character.

    Of two names the first may be a space: an editor's alone is the second.
    """
    found = [bytes(byte for byte in name if byte >= _SPACE).strip() for name in text.split(b"\0")[:names]]
    shown = b"\0".join(name or b" " for name in found).rstrip(b"\0 ")
    for cut in range(_LONGEST_CHARACTER):
        try:
            return shown[: len(shown) - cut].decode().encode()
        except UnicodeDecodeError:
            continue
    return shown
