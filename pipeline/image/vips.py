"""libvips, configured on import for small machines and hostile input."""

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
"""The version of the loaded libvips."""

PROFILE = "icc-profile-data"
"""The header field with the ICC profile."""

EXIF = "exif-data"
"""The header field with the EXIF block."""

_METADATA_PREFIXES = ("exif-", "xmp-", "iptc-", "photoshop-", "jpeg-thumbnail", "gainmap", "png-comment", "orientation")
"""Prefixes of the header fields that hold metadata."""

_EXIF, _ICC = 1, 8
"""Flags of libvips' `VipsForeignKeep`."""

_HEIF_LIMIT = "Security"
"""The word in libheif's error for an image above libheif's own limits; libvips passes it on like any other error."""

_UNSUPPORTED = re.compile(
    r"[Uu]nsupported|[Nn]ot supported|not configured|not been built in|not implemented|not SGI|No space for"
)
"""Error messages of decoders for a feature they do not support; the file itself may be valid."""

Error = pyvips.Error
Image = pyvips.Image

SOURCE_LOADER = "source"
"""Not the name of a loader: this module reads the file, and libvips chooses an allowed loader by magic bytes."""

_READ = (
    "JpegSource", "JpegFile", "PngSource", "PngFile", "WebpFile", "NsgifFile", "TiffFile", "HeifFile",
    "TiffSource", "HeifBuffer",
)  # fmt: skip
"""The only allowed loaders: libvips' class names without the prefix `VipsForeignLoad`.

The last two read only files that this service composes: an image that is decoded in rows, and one AV1 image.
"""


def _set_up() -> None:
    """Configure libvips: one thread, no cache of operations, and only the loaders that are needed.

    Threads and caches cost memory that a small machine lacks; a blocked loader cannot be attacked.
    """
    tuning.reduce_tile_height()
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)  # noqa: FBT003 - pyvips' signature
    pyvips.operation_block_set("VipsForeignLoad", True)  # noqa: FBT003 - as above
    for name in _READ:
        pyvips.operation_block_set(f"VipsForeignLoad{name}", False)  # noqa: FBT003 - as above


_set_up()


def load(loader: str, path: Path, *, fail_on: str, **options: float) -> pyvips.Image:
    """Open a file with one loader, for a single read from top to bottom; reads only the header for now.

    With `fail_on` "error", reading the pixels of a truncated file raises an error instead of returning an image with a
    grey lower half. With "warning", any warning of the decoder is an error too.

    Raises:
        UnsupportedFormat: the file uses a feature of its format that its decoder does not support.
        Corrupt: the header is invalid.
    """
    with _translate_errors():
        if loader == SOURCE_LOADER:
            return _streamed_from(_source(path), fail_on=fail_on, **options)
        return getattr(pyvips.Image, loader)(str(path), access="sequential", fail_on=fail_on, **options)


def load_repaired(repaired: Repaired, **options: float) -> pyvips.Image:
    """Open a repaired JPEG as `load` does; any warning of the decoder is an error."""
    with _translate_errors():
        return _streamed_from(_repaired_source(repaired), fail_on="warning", **options)


def load_avif(file: bytes) -> pyvips.Image:
    """Open an AVIF in memory; the errors are those of `load`."""
    with _translate_errors():
        return pyvips.Image.heifload_buffer(file, access="sequential", fail_on="error")


def load_rows(read: Callable[[int, int], bytes | memoryview], *, ends: int) -> pyvips.Image:
    """Open a TIFF of `ends` bytes that `read` computes, from a position and a number of bytes, while it is read."""
    return _streamed_from(_custom_source(read, ends=ends), fail_on="error")


def evaluate(image: pyvips.Image) -> pyvips.Image:
    """Evaluate operations on an original, and return the resulting image in memory.

    Raises:
        Corrupt: the file is truncated or invalid.
    """
    with _translate_errors():
        return image.copy_memory()


def without_line_cache(image: pyvips.Image) -> pyvips.Image:
    """Return an image for a single read from top to bottom, without a second cache of lines.

    libvips' shrinking operations add a cache of some 400 lines if their input is marked as sequential, but a loader
    already has such a cache. It was 4 MB of 50 for a 12 megapixel photograph.
    """
    bare = image.copy()
    bare.remove("vips-sequential")
    return bare


def save(image: pyvips.Image, saver: str, path: Path, **options: float | str) -> None:
    """Write an image to `path` with one saver."""
    getattr(image, saver)(str(path), **options)


def number(image: pyvips.Image, field: str, *, default: int) -> int:
    """Return an integer from an image's header; `default` if the field is missing."""
    return int(image.get(field)) if image.get_typeof(field) else default


def text_lengths(image: pyvips.Image) -> Iterator[int]:
    """Yield the length of each text and binary block in an image's header, such as EXIF, XMP and the profile."""
    for field in image.get_fields():
        if image.get_typeof(field) in (pyvips.GValue.blob_type, pyvips.GValue.gstr_type, pyvips.GValue.refstr_type):
            yield len(image.get(field) or b"")  # pyvips returns None for an empty text


def interpretation(bands: int, *, is_deep: bool) -> str:
    """Return libvips' interpretation of pixels with this many bands: grey or sRGB, of 8 or 16 bits."""
    if bands < 3:  # noqa: PLR2004 - grey, with or without alpha
        return "grey16" if is_deep else "b-w"
    return "rgb16" if is_deep else "srgb"


def from_bytes(pixels: bytes, sides: tuple[int, int], *, bands: int, is_deep: bool = False) -> pyvips.Image:
    """Return an image of pixels in memory: grey or sRGB, with alpha if it has one more band."""
    picture = pyvips.Image.new_from_memory(pixels, *sides, bands, "ushort" if is_deep else "uchar")
    return picture.copy(interpretation=interpretation(bands, is_deep=is_deep))


def blank(sides: tuple[int, int], bands: int, *, like: pyvips.Image) -> pyvips.Image:
    """Return an image without content, of the sample type and with the profile and metadata of `like`."""
    empty = pyvips.Image.black(*sides, bands=bands).cast(like.format)
    return with_fields(empty.copy(interpretation=interpretation(bands, is_deep=like.format != "uchar")), like)


def with_fields(image: pyvips.Image, like: pyvips.Image) -> pyvips.Image:
    """Return an image with the profile, the metadata and the orientation of `like`, in the place of its own.

    EXIF comes first, because libvips also sets the orientation that it names.
    """
    labelled, plain = image.copy(), pyvips.Image.black(1, 1).get_fields()
    for field in sorted(set(like.get_fields()).difference(plain), key=EXIF.__ne__):
        labelled.set_type(like.get_typeof(field), field, like.get(field))
    return labelled


def with_number(image: pyvips.Image, field: str, value: int) -> pyvips.Image:
    """Return an image with an integer in its header."""
    labelled = image.copy()
    labelled.set_type(pyvips.GValue.gint_type, field, value)
    return labelled


def with_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    """Return the image with `profile` as its ICC profile; pixel values stay unchanged."""
    labelled = image.copy()
    labelled.set_type(pyvips.GValue.blob_type, PROFILE, profile)
    return labelled


def with_exif(image: pyvips.Image, exif: bytes) -> pyvips.Image:
    """Return the image without any metadata except its ICC profile, and with `exif` if it is not empty."""
    labelled = image.copy()
    for field in image.get_fields():
        if field.startswith(_METADATA_PREFIXES):
            labelled.remove(field)
    if exif:
        labelled.set_type(pyvips.GValue.blob_type, EXIF, b"Exif\0\0" + exif)
    return labelled


def keep_flags(*, exif: bool, profile: bool) -> int:
    """Return libvips' flags for the metadata that a saver writes."""
    return _EXIF * exif | _ICC * profile


def first_band(image: pyvips.Image) -> pyvips.Image:
    """Return the first band of an image as grey."""
    return image.extract_band(0).copy(interpretation=interpretation(1, is_deep=image.format != "uchar"))


def side_by_side(images: Sequence[pyvips.Image]) -> pyvips.Image:
    """Return images of the same height as one, from left to right."""
    return pyvips.Image.arrayjoin(list(images), across=len(images))


def samples(image: pyvips.Image) -> memoryview:
    """Return the samples of an image that is decoded from an original; the errors are those of `evaluate`."""
    with _translate_errors():
        return memoryview(image.write_to_memory())


def join_frames(frames: Sequence[pyvips.Image]) -> pyvips.Image:
    """Join frames into one tall image, the form in which libvips' savers expect an animation.

    The first frame's header holds the timing of all frames.
    """
    roll = pyvips.Image.arrayjoin(list(frames), across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    return roll


def _streamed_from(source: pyvips.Source, *, fail_on: str, **options: float) -> pyvips.Image:
    return pyvips.Image.new_from_source(source, "", access="sequential", fail_on=fail_on, **options)


def _source(path: Path) -> pyvips.Source:
    """Return a source that reads a file with `pread`.

    libvips itself would map the file into memory, and the mapped pages would count as this process's memory.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    source = _custom_source(lambda start, most: os.pread(file, most, start), ends=os.fstat(file).st_size)
    weakref.finalize(source, os.close, file)
    return source


def _repaired_source(repaired: Repaired) -> pyvips.Source:
    file = os.open(repaired.path, os.O_RDONLY | os.O_CLOEXEC)
    shift, last = len(repaired.head) - repaired.rest, len(repaired.head) + repaired.end - repaired.rest

    def read(start: int, most: int) -> bytes:
        if start < len(repaired.head):
            return repaired.head[start : start + most]
        if start < last:
            return os.pread(file, min(most, last - start), start - shift)
        return jpeg.END[start - last :][:most]

    source = _custom_source(read, ends=last + len(jpeg.END))
    weakref.finalize(source, os.close, file)
    return source


def _custom_source(read: Callable[[int, int], bytes | memoryview], *, ends: int) -> pyvips.Source:
    """Return a libvips source that reads through `read`, from a position and at most a number of bytes.

    The callbacks never raise: libvips would take an exception for position 0 or for the end of the file.
    """
    position = 0

    def read_on(most: int) -> bytes | memoryview:
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
    source.on_read(read_on)
    source.on_seek(seek)
    return source


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Convert libvips' errors into ours; for use only where bytes of the original are read.

    An error anywhere else is caused by our code or by the machine, and must not be blamed on the original.
    """
    try:
        yield
    except pyvips.Error as error:
        if _HEIF_LIMIT in str(error.detail):
            raise TooManyPixels("The image is larger than its decoder supports; upload a smaller one.") from error
        if _UNSUPPORTED.search(str(error.detail)):
            raise UnsupportedFormat(
                f"The file uses a feature that is not supported ({_reason(error)}); export the image as a JPEG."
            ) from error
        raise Corrupt(f"The file is damaged or truncated ({_reason(error)}); upload an intact copy.") from error


def _reason(error: pyvips.Error) -> str:
    """Return the last line of libvips' error message, which holds the cause, unless it may contain a path."""
    lines = [line.strip() for line in str(error.detail).splitlines() if line.strip()]
    return lines[-1] if lines and "/" not in lines[-1] else "it cannot be decoded"
