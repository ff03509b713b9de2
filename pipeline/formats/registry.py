"""The formats of originals, recognised by their magic bytes, and of derivatives, with their encoder options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.errors import NotAnImage, UnsupportedFormat
from pipeline.size import MAX_SIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline.size import OutputFormat, Size

HEAD_BYTES = 512
"""How many bytes from the start of a file are needed to recognise its format."""


_QUANT_TABLE = 5
"""libjpeg's quantisation table that needs the fewest bytes for a given quality.

It needs 0.74 (300 pixels) to 0.92 (2000) of the bytes of sharp's default JPEG at equal SSIMULACRA2. Trellis
quantisation saves 3 % more for seven times the work, and a progressive file 3 % for twice the work: see
docs/benchmarks.md.
"""

_HUFFMAN_WIDTH = 1200
"""Pixels. JPEGs up to this width get optimised Huffman codes.

That saves 3 % of the bytes in the median, and 19 % for images mostly out of focus, for 1 to 5 ms. A larger image would
take 13 ms, and its coefficients as much memory again as its pixels.
"""


MAX_PALETTE_PIXELS = 4_000_000
"""The largest derivative that is reduced to a palette: it is held in memory several times."""

MAX_LOSSLESS_PIXELS = 1_000_000
"""The largest WebP that is encoded without loss, which takes far more memory and time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """A format of originals, and the formats of their derivatives unless the size chooses one."""

    name: str
    title: str
    extensions: tuple[str, ...]
    """File extensions, in lower case."""
    loader: str
    shrinks: Callable[[int], dict[str, float]] | None = None
    """The loader's options for shrinking by 2, 4 or 8 while it decodes; None if the loader cannot."""
    fail_on: str = "error"
    """The least severe decoder message that counts as damage: "error" or "warning".

    It is "warning" for decoders that only warn about lost image data.
    """
    animates: bool = False
    opaque_output: OutputFormat
    transparent_output: OutputFormat

    @property
    def content_type(self) -> str:
        """The media type of the format."""
        return f"image/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writable:
    """A format of derivatives."""

    name: OutputFormat
    content_type: str
    extension: str
    saver: str
    pixel_bytes: tuple[int, int]
    """Bytes per pixel that the encoder holds in memory, opaque and transparent; see `pipeline.decode.memory_model`."""
    holds_alpha: bool = True
    max_side: int
    """Pixels. The largest width or height that the encoder takes."""
    options: Callable[[Size, int], Mapping[str, int | str]]
    """The encoder's options for a size and the width of the image in pixels."""


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
            opaque_output="jpeg",
            transparent_output="jpeg",
        ),
        Readable(
            name="png",
            title="PNG",
            extensions=(".png",),
            loader="source",
            opaque_output="png",
            transparent_output="png",
        ),
        Readable(
            name="webp",
            title="WebP",
            extensions=(".webp",),
            loader="webpload",
            shrinks=lambda times: {"scale": 1 / times},
            animates=True,
            opaque_output="webp",
            transparent_output="webp",
        ),
        Readable(
            name="gif",
            title="GIF",
            extensions=(".gif",),
            loader="gifload",
            animates=True,
            opaque_output="jpeg",
            transparent_output="png",
        ),
        Readable(
            name="tiff",
            title="TIFF",
            extensions=(".tif", ".tiff"),
            loader="tiffload",
            opaque_output="jpeg",
            transparent_output="webp",
        ),
        Readable(
            name="avif",
            title="AVIF",
            extensions=(".avif",),
            loader="heifload",
            opaque_output="jpeg",
            transparent_output="webp",
        ),
        Readable(
            name="heic",
            title="HEIC",
            extensions=(".heic", ".heif"),
            loader="heifload",
            opaque_output="jpeg",
            transparent_output="webp",
        ),
    )
}
"""All formats of originals, by name."""

*_OTHERS, _LAST = (readable.title for readable in READABLE.values())
READABLE_TITLES = f"{', '.join(_OTHERS)} or {_LAST}"

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
            max_side=65_500,
            options=lambda size, width: {
                "Q": size.quality,
                "quant_table": _QUANT_TABLE,
                "optimize_coding": width <= _HUFFMAN_WIDTH if size.effort is None else bool(size.effort),
            },
        ),
        Writable(
            name="png",
            content_type="image/png",
            extension=".png",
            saver="pngsave",
            pixel_bytes=(2, 2),
            max_side=1_000_000,
            options=lambda size, _: {"filter": "all", "compression": _effort(size, default=6)},
        ),
        Writable(
            name="webp",
            content_type="image/webp",
            extension=".webp",
            saver="webpsave",
            pixel_bytes=(7, 40),
            max_side=MAX_SIDE,
            options=lambda size, _: {"Q": size.quality, "effort": min(6, _effort(size, default=2))},
        ),
        Writable(
            name="avif",
            content_type="image/avif",
            extension=".avif",
            saver="heifsave",
            pixel_bytes=(30, 40),
            max_side=16_384,
            options=lambda size, _: {
                "Q": size.quality,
                "effort": _effort(size, default=1),
                "compression": "av1",
                "bitdepth": 8,
            },
        ),
    )
}
"""All formats of derivatives, by name."""

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
"""Magic bytes and names of formats; the first match at the start of a file counts.

Sources: each format's own specification, and file(1).
"""

RECOGNISED = frozenset(name for _, name in _MAGIC)
"""The names of all formats that are recognised, supported or not."""

_PATTERNS = tuple((re.compile(pattern, re.DOTALL), name) for pattern, name in _MAGIC)


def recognise(path: Path) -> Readable:
    """Return the format of a file, recognised by its first bytes; its name and extension are ignored.

    Raises:
        NotAnImage: the file is empty, or does not start like any known format.
        UnsupportedFormat: the format is known but not supported.
    """
    with path.open("rb") as file:
        return recognise_head(file.read(HEAD_BYTES))


def recognise_head(head: bytes) -> Readable:
    """Return the format of a file that starts with `head`: its first `HEAD_BYTES`, or all of it.

    Raises:
        NotAnImage, UnsupportedFormat: see `recognise`.
    """
    name = _format_of(head)
    if not head:
        raise NotAnImage(sentences.EMPTY)
    if name is None:
        raise NotAnImage(sentences.UNKNOWN_FORMAT.format(titles=READABLE_TITLES))
    if name not in READABLE:
        raise UnsupportedFormat(sentences.OTHER_FORMAT.format(type=name, titles=READABLE_TITLES))
    return READABLE[name]


def content_type_of(head: bytes) -> str | None:
    """Return the content type of a file that starts with `head` (`HEAD_BYTES` of it); None if it is not an original."""
    readable = READABLE.get(_format_of(head) or "")
    return readable.content_type if readable else None


def output_by_extension(extension: str) -> Writable:
    """Return the format for derivatives of an opaque original with this extension (`.jpg`); JPEG if it is unknown."""
    readable = next((one for one in READABLE.values() if extension.lower() in one.extensions), READABLE["jpeg"])
    return WRITABLE[readable.opaque_output]


def output(readable: Readable, size: Size, *, has_alpha: bool) -> Writable:
    """Return the format of a derivative: the size's own choice, or the closest one that all browsers support."""
    return WRITABLE[size.format or (readable.transparent_output if has_alpha else readable.opaque_output)]


def highest(readable: Readable, size: Size, *, has_alpha: bool) -> int:
    """Return the largest height of a derivative in pixels; alpha that turns out to be opaque changes its format."""
    if size.animate and readable.animates:
        return WRITABLE["webp"].max_side
    return min(output(readable, size, has_alpha=alpha).max_side for alpha in {has_alpha, False})


def _format_of(head: bytes) -> str | None:
    return next((name for pattern, name in _PATTERNS if pattern.match(head)), None)


def _effort(size: Size, *, default: int) -> int:
    return default if size.effort is None else size.effort
