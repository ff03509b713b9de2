"""The formats that originals come in: recognised by their magic bytes, written back with the right options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import NotAnImage, UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline.size import OutputFormat, Size

HEAD_BYTES = 512
"""How much of a file's beginning tells its format."""


_QUANT_TABLE = 5
"""libjpeg's choice that needs the fewest bytes: 0.58 (300 pixels) to 0.88 (2000) of table 0 at equal SSIMULACRA2, where
trellis quantisation saves 3 % more for seven times the work, and a progressive file 3 % for twice the work."""

_CODED_WIDTH = 1200
"""Pixels. Up to here a JPEG's Huffman codes are chosen for it: 3 % fewer bytes in the median, 19 % where much is out of
focus, for 1 to 5 ms. A larger one would take 13 ms, and its coefficients as much memory again as its pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """A format that originals may have, and the format their derivatives get unless the size says otherwise."""

    name: str
    title: str
    extensions: tuple[str, ...]
    """Of file names, in lower case."""
    loader: str
    shrinks: Callable[[int], dict[str, float]] | None = None
    """How its loader is told to shrink by 2, 4 or 8 while it decodes; None where it cannot."""
    fail_on: str = "error"
    """What its loader takes for damage: "error", or "warning" where a lost part of the picture is only that."""
    animates: bool = False
    opaque_becomes: OutputFormat
    transparent_becomes: OutputFormat

    @property
    def content_type(self) -> str:
        """The media type of its files."""
        return f"image/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writable:
    """A format that derivatives may have."""

    name: OutputFormat
    content_type: str
    extension: str
    saver: str
    pixel_bytes: tuple[int, int]
    """What its encoder holds in memory for each pixel, opaque and transparent; see `pipeline.decode.memory_model`."""
    holds_alpha: bool = True
    options: Callable[[Size, int], Mapping[str, int | str]]
    """How its encoder is told what a size asks for, with a picture that many pixels wide."""


READABLE = {
    readable.name: readable
    for readable in (
        Readable(
            name="jpeg",
            title="JPEG",
            extensions=(".jpg", ".jpeg"),
            loader="source",
            fail_on="warning",
            shrinks=lambda times: {"shrink": times},
            opaque_becomes="jpeg",
            transparent_becomes="jpeg",
        ),
        Readable(
            name="png",
            title="PNG",
            extensions=(".png",),
            loader="source",
            opaque_becomes="png",
            transparent_becomes="png",
        ),
        Readable(
            name="webp",
            title="WebP",
            extensions=(".webp",),
            loader="webpload",
            shrinks=lambda times: {"scale": 1 / times},
            animates=True,
            opaque_becomes="webp",
            transparent_becomes="webp",
        ),
        Readable(
            name="gif",
            title="GIF",
            extensions=(".gif",),
            loader="gifload",
            animates=True,
            opaque_becomes="jpeg",
            transparent_becomes="png",
        ),
        Readable(
            name="tiff",
            title="TIFF",
            extensions=(".tif", ".tiff"),
            loader="tiffload",
            opaque_becomes="jpeg",
            transparent_becomes="webp",
        ),
        Readable(
            name="avif",
            title="AVIF",
            extensions=(".avif",),
            loader="heifload",
            opaque_becomes="jpeg",
            transparent_becomes="webp",
        ),
        Readable(
            name="heic",
            title="HEIC",
            extensions=(".heic", ".heif"),
            loader="heifload",
            opaque_becomes="jpeg",
            transparent_becomes="webp",
        ),
    )
}
"""Every format that is read, by name."""

WRITABLE = {
    writable.name: writable
    for writable in (
        Writable(
            name="jpeg",
            content_type="image/jpeg",
            extension=".jpg",
            saver="jpegsave",
            pixel_bytes=(1, 1),
            holds_alpha=False,
            options=lambda size, width: {
                "Q": size.quality,
                "quant_table": _QUANT_TABLE,
                "optimize_coding": width <= _CODED_WIDTH if size.effort is None else bool(size.effort),
            },
        ),
        Writable(
            name="png",
            content_type="image/png",
            extension=".png",
            saver="pngsave",
            pixel_bytes=(2, 2),
            options=lambda size, _: {"filter": "all", "compression": _effort(size, usual=6)},
        ),
        Writable(
            name="webp",
            content_type="image/webp",
            extension=".webp",
            saver="webpsave",
            pixel_bytes=(7, 40),
            options=lambda size, _: {"Q": size.quality, "effort": min(6, _effort(size, usual=2))},
        ),
        Writable(
            name="avif",
            content_type="image/avif",
            extension=".avif",
            saver="heifsave",
            pixel_bytes=(30, 40),
            options=lambda size, _: {
                "Q": size.quality,
                "effort": _effort(size, usual=1),
                "compression": "av1",
                "bitdepth": 8,
            },
        ),
    )
}
"""Every format that is written, by name."""

_MAGIC = (
    (rb"\xff\xd8\xff", "jpeg"),
    (rb"\x89PNG\r\n\x1a\n", "png"),
    (rb"RIFF....WEBP", "webp"),
    (rb"GIF8[79]a", "gif"),
    (rb"(II\*\0....|MM\0\*....)CR", "raw"),
    (rb"II[\*+]\0|MM\0[\*+]", "tiff"),
    (rb"IIU\0|IIR[OS]|MMOR|FUJIFILMCCD-RAW|\0MRM|FOVb|....ftypcrx ", "raw"),
    (rb"....ftyp(avif|avis)", "avif"),
    (rb"....ftyp(hei[cxms]|hev[cxms])", "heic"),
    (rb"....ftyp(mif1|msf1|miaf).{4}(....)*?avi[fs]", "avif"),
    (rb"....ftyp(mif1|msf1|miaf)", "heic"),
    (rb"....ftyp", "video"),
    (rb"\x1aE\xdf\xa3|RIFF....AVI ", "video"),
    (rb"BM.{4}\0\0\0\0", "bmp"),
    (rb"\0\0[\1\2]\0", "ico"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "jxl"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "jp2"),
    (rb"8BPS", "psd"),
    (rb"%PDF-", "pdf"),
    (rb"%!PS", "postscript"),
    (rb"(\xef\xbb\xbf)?\s*<(\?xml|svg|!DOCTYPE svg)", "svg"),
    (rb"\x1f\x8b", "gzip"),
    (rb"\x08\xf2\xa6\xb6|\xb6\xa6\xf2\x08", "vips"),
    (rb"v/1\x01", "exr"),
    (rb"#\?(RADIANCE|RGBE)", "hdr"),
    (rb"P[1-7FfUZ]\s", "netpbm"),
    (rb"SIMPLE  =", "fits"),
    (rb"DDS ", "dds"),
    (rb"gimp xcf", "xcf"),
)
"""The first that matches a file's beginning names its format. Sources: each format's own specification, `file`(1)."""

_PATTERNS = tuple((re.compile(pattern, re.DOTALL), name) for pattern, name in _MAGIC)


def recognise(path: Path) -> Readable:
    """Tell the format of a file from its first bytes; its name and its extension are not asked.

    Raises:
        NotAnImage: the beginning is that of no known format.
        UnsupportedFormat: it is known, but not one that is read here.
    """
    with path.open("rb") as file:
        name = _format_of(file.read(HEAD_BYTES))
    if name is None:
        raise NotAnImage("This file is not a picture: it begins like no image format that is known.")
    if name not in READABLE:
        offered = ", ".join(readable.title for readable in READABLE.values())
        raise UnsupportedFormat(f"A file of type {name} cannot be read here; upload one of {offered}.")
    return READABLE[name]


def content_type_of(head: bytes) -> str | None:
    """Return the content type of a file that begins with `head` (`HEAD_BYTES` of it); None where it is no original."""
    readable = READABLE.get(_format_of(head) or "")
    return readable.content_type if readable else None


def output_by_extension(extension: str) -> Writable:
    """Return the format that an opaque original's derivatives get, judged by its extension (`.jpg`); else JPEG."""
    readable = next((one for one in READABLE.values() if extension.lower() in one.extensions), READABLE["jpeg"])
    return WRITABLE[readable.opaque_becomes]


def output(readable: Readable, size: Size, *, has_alpha: bool) -> Writable:
    """Choose the format of a derivative: the size's own choice, else the nearest that all browsers show."""
    return WRITABLE[size.format or (readable.transparent_becomes if has_alpha else readable.opaque_becomes)]


def _format_of(head: bytes) -> str | None:
    return next((name for pattern, name in _PATTERNS if pattern.match(head)), None)


def _effort(size: Size, *, usual: int) -> int:
    return usual if size.effort is None else size.effort
