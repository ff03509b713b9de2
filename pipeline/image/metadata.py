"""The names of an original's creator and copyright holder: the only metadata that a derivative may keep."""

from __future__ import annotations

import re
import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from pipeline.formats import tiff
from pipeline.image import orientation, vips

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips

_OWNER = {tiff.ARTIST: 1, tiff.COPYRIGHT: 2}
"""The fields that name the creator and the copyright holders, and how many names each may hold.

Names are separated by a zero byte: the photographer's copyright and the editor's.
"""

_ASCII, _ENTRY_BYTES, _INLINE_BYTES = 2, 12, 4
_SPACE, _LONGEST_CHARACTER = 0x20, 4
_FIRST = b"II*\0\x08\0\0\0"
_EXIF_IFD_POINTER = 0x8769
"""The EXIF tag that points to the last directory of the block that libvips writes."""

_PNG_CHUNK = b"eXIf"


def owner(image: pyvips.Image, path: Path) -> dict[int, bytes]:
    """Return the names of the creator and the copyright holder by tag number, as the bytes in the file.

    They are read from the EXIF block, or from the TIFF's own fields if it has no such block.
    """
    if image.get_typeof(vips.EXIF):
        directory = tiff.directory_of(BytesIO(bytes(image.get(vips.EXIF)).removeprefix(b"Exif\0\0")))
    else:
        directory = tiff.directory(path)
    texts = {field: _bounded(directory.texts.get(field, b""), names=names) for field, names in _OWNER.items()}
    return {field: text for field, text in texts.items() if text}


def labelled(image: pyvips.Image, block: bytes) -> pyvips.Image:
    """Return the image with an EXIF block that its decoder did not find, and with the orientation in it."""
    directory = tiff.directory_of(BytesIO(block))
    return vips.with_metadata(image, exif=block, orientation=directory.first(tiff.ORIENTATION) or orientation.UPRIGHT)


def exif(owner: dict[int, bytes]) -> bytes:
    """Return an EXIF block with these names and nothing else."""
    place = len(_FIRST) + 2 + _ENTRY_BYTES * len(owner) + 4
    entries, texts = b"", b""
    for field, text in sorted(owner.items()):
        ended = text + b"\0"
        is_long = len(ended) > _INLINE_BYTES
        where = struct.pack("<I", place + len(texts)) if is_long else ended.ljust(_INLINE_BYTES, b"\0")
        entries += struct.pack("<HHI", field, _ASCII, len(ended)) + where
        texts += ended + bytes(len(ended) % 2) if is_long else b""
    return _FIRST + struct.pack("<H", len(owner)) + entries + bytes(4) + texts


def replace_exif(path: Path, block: bytes) -> None:
    """Replace the EXIF block that libvips wrote to the file at `path` with `block`.

    libvips adds orientation, resolution and colour space to any block it writes. So its block is the longer one, and
    the remaining bytes are set to zero.

    Raises:
        RuntimeError: the file has no EXIF block of libvips, or its layout is not the expected one.
    """
    content = path.read_bytes()
    found = re.search(re.escape(_FIRST) + rb"..\x12\x01\x03\x00", content, re.DOTALL)
    length = _length(content[found.start() :]) if found else 0
    if not found or length < len(block):
        raise RuntimeError("libvips no longer writes EXIF in the expected form.")
    start, padded = found.start(), block.ljust(length, b"\0")
    with path.open("r+b") as file:
        file.seek(start)
        file.write(padded)
        if content[start - len(_PNG_CHUNK) : start] == _PNG_CHUNK:
            file.write(zlib.crc32(_PNG_CHUNK + padded).to_bytes(4, "big"))


def _length(block: bytes) -> int:
    """Return the length of the EXIF block that libvips wrote; it ends with its second directory."""
    for start in range(len(_FIRST) + 2, len(block) - _ENTRY_BYTES, _ENTRY_BYTES):
        field, _, _, value = struct.unpack_from("<HHII", block, start)
        if field == _EXIF_IFD_POINTER:
            return int(value + 2 + _ENTRY_BYTES * struct.unpack_from("<H", block, value)[0] + 4)
    return 0


def _bounded(text: bytes, *, names: int) -> bytes:
    """Return the first `names` names of a text, without control characters and without a truncated last character.

    All other bytes stay as they are, in any encoding. Of two names the first may be a single space: then only the
    editor, the second, is named.
    """
    found = [bytes(byte for byte in name if byte >= _SPACE).strip() for name in text.split(b"\0")[:names]]
    shown = b"\0".join(name or b" " for name in found).rstrip(b"\0 ")
    for cut in range(_LONGEST_CHARACTER):
        try:
            return shown[: len(shown) - cut].decode().encode()
        except UnicodeDecodeError:
            continue
    return shown
