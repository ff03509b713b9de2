"""The text chunks of a PNG: keywords with their texts, and blocks of other standards that programs store in them."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.facts.texts import Text, decoded
from pipeline.formats import png

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_TEXTS: Final = 100
MOST_BYTES: Final = 1 << 20
"""How many texts are read, and how large one may be when it is decompressed; larger ones are ignored."""

_PLAIN, _COMPRESSED = b"tEXt", b"zTXt"
_XMP: Final = "XML:com.adobe.xmp"
_RAW: Final = re.compile(rb"\s*+[A-Za-z0-9 ]++\r?\n\s*+([0-9]++)\s++([0-9A-Fa-f\s]*+)")
"""How ImageMagick and exiftool store a block: a line with its name, its length, and its bytes in hexadecimal digits."""

_RAW_NAMES: Final = {"exif": "exif", "APP1": "exif", "iptc": "iptc", "8bim": "iptc", "xmp": "xmp"}
_RAW_PREFIX: Final = "Raw profile type "


@dataclass(frozen=True, slots=True)
class PngTexts:
    """Texts by keyword, and the blocks `exif`, `iptc` and `xmp`."""

    texts: Mapping[str, Text] = field(default_factory=dict)
    blocks: Mapping[str, bytes] = field(default_factory=dict)

    def plain(self, keyword: str) -> str | None:
        """Return a text, None if there is none."""
        return self.texts[keyword].value if keyword in self.texts else None


def png_texts(path: Path) -> PngTexts:
    """Return the first `MOST_TEXTS` texts of a PNG; of several with one keyword, the first counts."""
    texts: dict[str, Text] = {}
    blocks: dict[str, bytes] = {}
    for (kind, chunk), _ in zip(png.texts(path), range(MOST_TEXTS), strict=False):
        name, _, rest = chunk.partition(b"\0")
        keyword = name.decode("latin-1")
        content, encoding = _content(kind, rest)
        if keyword == _XMP:
            blocks.setdefault("xmp", content)
        elif keyword.startswith(_RAW_PREFIX):
            block = _RAW_NAMES.get(keyword.removeprefix(_RAW_PREFIX))
            if block and (raw := _unhexed(content)):
                blocks.setdefault(block, raw)
        elif content:
            texts.setdefault(keyword, decoded(content, encoding=encoding))
    return PngTexts(texts, blocks)


def _content(kind: bytes, rest: bytes) -> tuple[bytes, str]:
    """Return the text of a chunk, behind its keyword, and its encoding if the standard defines one that is kept."""
    if kind == _PLAIN:
        return rest, ""  # Latin-1 by the standard, UTF-8 by many programs
    if kind == _COMPRESSED:
        return _inflated(rest[1:]), ""
    is_compressed = rest[:1] == b"\1"
    _, _, behind_language = rest[2:].partition(b"\0")
    _, _, text = behind_language.partition(b"\0")
    return (_inflated(text) if is_compressed else text), "utf-8"


def _inflated(compressed: bytes) -> bytes:
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(compressed, MOST_BYTES)
    except zlib.error:
        return b""
    return b"" if inflate.unconsumed_tail else content


def _unhexed(content: bytes) -> bytes:
    found = _RAW.fullmatch(content)
    if found is None:
        return b""
    digits = b"".join(found[2].split())
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode()) if len(digits) <= 2 * MOST_BYTES else b""
