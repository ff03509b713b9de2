"""libvips, set up for a small machine and hostile input when this module is imported."""

from __future__ import annotations

import os
import re
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyvips

from pipeline.errors import Corrupt, TooManyPixels, UnsupportedFormat
from pipeline.formats import jpeg
from pipeline.image import tuning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.formats.jpeg import Repaired

VERSION = ".".join(str(pyvips.version(part)) for part in range(3))
"""The version of libvips that is loaded."""

PROFILE = "icc-profile-data"
"""The field of a header that says what the colours mean."""

EXIF = "exif-data"
"""The field of a header that holds a block of EXIF."""

_FOREIGN = ("exif-", "xmp-", "iptc-", "photoshop-", "jpeg-thumbnail", "gainmap", "png-comment", "orientation")
"""How the fields begin that hold what a file says about its picture."""

_EXIF, _ICC = 1, 8
"""Of libvips' `VipsForeignKeep`."""

_HEIF_LIMIT = "Security"
"""libheif's word for a picture above its own limits, which libvips passes on as one error among others."""

_MISSING = re.compile(
    r"[Uu]nsupported|[Nn]ot supported|not configured|not been built in|not implemented|not SGI|No space for"
)
"""How decoders say that the file may be well, but is beyond them."""

Error = pyvips.Error
Image = pyvips.Image

READ_BY_US = "source"
"""The name of no loader: the file is read by us, and libvips chooses among what may run by magic bytes."""

_READ = ("JpegSource", "JpegFile", "PngSource", "PngFile", "WebpFile", "NsgifFile", "TiffFile", "HeifFile")
"""The only loaders that may run, by libvips' class name without its `VipsForeignLoad`."""


def _set_up() -> None:
    """Threads and caches cost memory that a small machine lacks; a loader that cannot run cannot be attacked."""
    tuning.reduce_tile_height()
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)  # noqa: FBT003 - libvips' own signature
    pyvips.operation_block_set("VipsForeignLoad", True)  # noqa: FBT003 - as above
    for name in _READ:
        pyvips.operation_block_set(f"VipsForeignLoad{name}", False)  # noqa: FBT003 - as above


_set_up()


def load(loader: str, path: Path, *, fail_on: str, **options: float) -> pyvips.Image:
    """Open a file with one loader, to be read once from top to bottom; only its header is read yet.

    With `fail_on` "error" a file that ends early is an error when its pixels are read, never a picture with a grey
    lower half; with "warning" even a doubt is one.

    Raises:
        UnsupportedFormat: the file uses a part of its format that its decoder does not have.
        Corrupt: the header makes no sense.
    """
    with _reading():
        if loader == READ_BY_US:
            return _streamed_from(_source(path), fail_on=fail_on, **options)
        return getattr(pyvips.Image, loader)(str(path), access="sequential", fail_on=fail_on, **options)


def load_mended(mended: Repaired, **options: float) -> pyvips.Image:
    """Open a JPEG with its other head, as `load` does; any doubt is an error."""
    with _reading():
        return _streamed_from(_mended_source(mended), fail_on="warning", **options)


def hold(image: pyvips.Image) -> pyvips.Image:
    """Read an original through whatever is to be done with it, and keep the resulting pixels in memory.

    Raises:
        Corrupt: the file ends early or makes no sense.
    """
    with _reading():
        return image.copy_memory()


def streamed(image: pyvips.Image) -> pyvips.Image:
    """Give a picture that is read from top to bottom once, without the lines that libvips would keep a second time.

    Operations that shrink put a cache of some 400 lines before them when their input calls itself sequential; a
    loader has one already. It was 4 MB of 50 for a 12 megapixel photograph.
    """
    bare = image.copy()
    bare.remove("vips-sequential")
    return bare


def save(image: pyvips.Image, saver: str, path: Path, **options: float | str) -> None:
    """Write a picture with one saver."""
    getattr(image, saver)(str(path), **options)


def number(image: pyvips.Image, field: str, *, default: int) -> int:
    """Read a whole number from a picture's header."""
    return int(image.get(field)) if image.get_typeof(field) else default


def text_lengths(image: pyvips.Image) -> Iterator[int]:
    """Tell how long each text is that the file has about its picture, its blocks of EXIF and XMP and its profile."""
    for field in image.get_fields():
        if image.get_typeof(field) in (pyvips.GValue.blob_type, pyvips.GValue.gstr_type, pyvips.GValue.refstr_type):
            yield len(image.get(field) or b"")  # an empty text is None


def meaning(bands: int, *, is_deep: bool) -> str:
    """Give libvips' name for pixels of that many bands: grey or sRGB, perhaps with alpha, of 8 or of 16 bits."""
    if bands < 3:  # noqa: PLR2004 - grey, or grey and alpha
        return "grey16" if is_deep else "b-w"
    return "rgb16" if is_deep else "srgb"


def from_bytes(pixels: bytes, sides: tuple[int, int], *, bands: int, is_deep: bool = False) -> pyvips.Image:
    """Make a picture of pixels in memory: grey or sRGB, and alpha where there is a band more."""
    picture = pyvips.Image.new_from_memory(pixels, *sides, bands, "ushort" if is_deep else "uchar")
    return picture.copy(interpretation=meaning(bands, is_deep=is_deep))


def with_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    """Say what a picture's colours mean, without changing them."""
    labelled = image.copy()
    labelled.set_type(pyvips.GValue.blob_type, PROFILE, profile)
    return labelled


def with_exif(image: pyvips.Image, exif: bytes) -> pyvips.Image:
    """Take every text and block out of a picture's header but its colour profile, and put EXIF there, if there is."""
    labelled = image.copy()
    for field in image.get_fields():
        if field.startswith(_FOREIGN):
            labelled.remove(field)
    if exif:
        labelled.set_type(pyvips.GValue.blob_type, EXIF, b"Exif\0\0" + exif)
    return labelled


def keep(*, exif: bool, profile: bool) -> int:
    """Give libvips' flags for what a saver writes of the header."""
    return _EXIF * exif | _ICC * profile


def film(frames: Sequence[pyvips.Image]) -> pyvips.Image:
    """Join frames, one below the other, as libvips' savers take an animation; its timing is the first frame's."""
    roll = pyvips.Image.arrayjoin(list(frames), across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    return roll


def _streamed_from(source: pyvips.Source, *, fail_on: str, **options: float) -> pyvips.Image:
    return pyvips.Image.new_from_source(source, "", access="sequential", fail_on=fail_on, **options)


def _source(path: Path) -> pyvips.Source:
    """Read a file by reading it: libvips itself would map it, and its pages would count as this process's memory."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return _custom_source(file, lambda start, most: os.pread(file, most, start), ends=os.fstat(file).st_size)


def _mended_source(mended: Repaired) -> pyvips.Source:
    file = os.open(mended.path, os.O_RDONLY | os.O_CLOEXEC)
    shift, last = len(mended.head) - mended.rest, len(mended.head) + mended.end - mended.rest

    def read(start: int, most: int) -> bytes:
        if start < len(mended.head):
            return mended.head[start : start + most]
        if start < last:
            return os.pread(file, min(most, last - start), start - shift)
        return jpeg.END[start - last :][:most]

    return _custom_source(file, read, ends=last + len(jpeg.END))


def _custom_source(file: int, read: Callable[[int, int], bytes], *, ends: int) -> pyvips.Source:
    """Let libvips read at a position of its own; the file is closed with the source.

    What raises here, libvips takes for the position 0, or for the end of the file; so nothing raises.
    """
    position = 0

    def read_on(most: int) -> bytes:
        nonlocal position
        found = read(position, most)
        position += len(found)
        return found

    def seek(offset: int, whence: int) -> int:
        nonlocal position
        wanted = offset + {os.SEEK_SET: 0, os.SEEK_CUR: position, os.SEEK_END: ends}[whence]
        position = wanted if wanted >= 0 else position
        return position if wanted >= 0 else -1

    source = pyvips.SourceCustom()
    weakref.finalize(source, os.close, file)
    source.on_read(read_on)
    source.on_seek(seek)
    return source


@contextmanager
def _reading() -> Iterator[None]:
    """Turn libvips' errors into ours, only where bytes of the original are read.

    Anywhere else an error is a mistake of ours or of the machine's, and the original must not be blamed for it.
    """
    try:
        yield
    except pyvips.Error as error:
        if _HEIF_LIMIT in str(error.detail):
            raise TooManyPixels("This picture is larger than its decoder takes on; shrink it first.") from error
        if _MISSING.search(str(error.detail)):
            raise UnsupportedFormat(f"A rare kind of file ({_reason(error)}); export it as a JPEG.") from error
        raise Corrupt(
            f"This file is damaged or cut short ({_reason(error)}); upload it again from the camera."
        ) from error


def _reason(error: pyvips.Error) -> str:
    """Keep the last line of libvips' account, which holds the cause; the others may hold the file's path."""
    lines = [line.strip() for line in str(error.detail).splitlines() if line.strip()]
    return lines[-1] if lines and "/" not in lines[-1] else "it cannot be decoded"
