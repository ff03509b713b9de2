"""libvips, configured on import for small machines and hostile input."""

from __future__ import annotations

import os
import re
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyvips

from pipeline import sentences
from pipeline.errors import Corrupt, TooManyPixels, UnsupportedFormat
from pipeline.formats.decoder_warnings import Verdict, verdict
from pipeline.image import decoder_messages, tuning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.formats.spliced import Spliced

VERSION = ".".join(str(pyvips.version(part)) for part in range(3))
"""The version of the loaded libvips."""

PROFILE = "icc-profile-data"
"""The header field with the ICC profile."""

EXIF = "exif-data"
"""The header field with the EXIF block."""

_METADATA_PREFIXES = (
    b"exif-", b"xmp-", b"iptc-", b"photoshop-", b"jpeg-thumbnail", b"gainmap", b"png-comment", b"orientation",
)  # fmt: skip
"""Prefixes of the header fields that hold metadata."""

_KEPT_FIELDS = (PROFILE, "orientation", "resolution-unit")
"""The header fields that the steps after shrinking and the encoders read."""

STRIP_LINES = 8
"""Lines that are read at once. With 64, a photograph of 12 megapixels takes 80 ms longer, for fresh memory."""

_EXIF, _ICC = 1, 8
"""Flags of libvips' `VipsForeignKeep`."""

_HEIF_LIMIT = "Security"
"""The word in libheif's error for an image above libheif's own limits; libvips passes it on like any other error."""

_UNSUPPORTED = re.compile(
    r"[Uu]nsupported|[Nn]ot supported|not configured|not been built in|not implemented|not SGI|No space for"
    r"|not a whole number of bytes"
)
"""Error messages of decoders for a feature they do not support; the file itself may be valid."""

Error = pyvips.Error
Image = pyvips.Image

SOURCE_LOADER = "source"
"""Not the name of a loader: this module reads the file, and libvips chooses an allowed loader by magic bytes."""

_READ = (
    "JpegSource", "JpegFile", "PngSource", "PngFile", "WebpFile", "NsgifFile", "TiffFile", "TiffSource", "HeifBuffer",
)  # fmt: skip
"""The only allowed loaders: libvips' class names without the prefix `VipsForeignLoad`.

The last one reads only files that this service composes.
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


_USUAL_OPERATIONS = (
    "VipsForeignLoadJpegSource", "autorot", "black", "cast", "conv", "copy", "extract_band", "jpegsave", "maplut",
    "resize", "webpsave_buffer",
)  # fmt: skip
"""The operations of a usual photograph, by the names under which pyvips knows them."""


def load_operations() -> None:
    """Let pyvips look up the arguments of the usual operations now, which takes a millisecond."""
    for name in _USUAL_OPERATIONS:
        pyvips.Introspect.get(name)


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


def load_spliced(spliced: Spliced, *, fail_on: str, **options: float) -> pyvips.Image:
    """Open a spliced JPEG, PNG or TIFF as `load` does."""
    with _translate_errors():
        return _streamed_from(_spliced_source(spliced), fail_on=fail_on, **options)


def load_heif(file: bytes) -> pyvips.Image:
    """Open a HEIC or AVIF in memory; the errors are those of `load`."""
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
    with _reading():
        return image.copy_memory()


def strips(image: pyvips.Image) -> Iterator[pyvips.ffi.buffer]:
    """Evaluate operations on an original, and yield the pixels of a few lines at a time, from top to bottom.

    Raises:
        Corrupt: the file is truncated or invalid.
    """
    with _reading():
        region = pyvips.Region.new(image)
        width, height = image.width, image.height  # looked up once: each look-up takes 6 us
        for top in range(0, height, STRIP_LINES):
            yield region.fetch(0, top, width, min(STRIP_LINES, height - top))


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


def webp(image: pyvips.Image, *, quality: int) -> bytes:
    """Return an image in memory as a WebP without metadata, for pictures of a few pixels."""
    encoded: bytes = image.webpsave_buffer(Q=quality, alpha_q=quality, keep=keep_flags(exif=False, profile=False))
    return encoded


def number(image: pyvips.Image, field: str, *, default: int) -> int:
    """Return an integer from an image's header; `default` if the field is missing."""
    return int(image.get(field)) if image.get_typeof(field) else default


def fields(image: pyvips.Image) -> list[bytes]:
    """Return the names of an image's header fields.

    pyvips' own method returns text, and fails if a name is not UTF-8: the keywords of PNG are Latin-1.
    """
    found, names = pyvips.vips_lib.vips_image_get_fields(image.pointer), list[bytes]()
    while found[len(names)] != pyvips.ffi.NULL:
        names.append(pyvips.ffi.string(found[len(names)]))
        pyvips.glib_lib.g_free(found[len(names) - 1])
    pyvips.glib_lib.g_free(found)
    return names


def text_lengths(image: pyvips.Image) -> Iterator[int]:
    """Yield the length of each text and binary block in an image's header, such as EXIF, XMP and the profile."""
    length = pyvips.ffi.new("size_t *")
    read = {
        pyvips.GValue.blob_type: pyvips.vips_lib.vips_value_get_blob,
        pyvips.GValue.refstr_type: pyvips.vips_lib.vips_value_get_ref_string,
    }
    for field in fields(image):
        if measure := read.get(image.get_typeof(field)):
            value = pyvips.GValue()
            pyvips.vips_lib.vips_image_get(image.pointer, field, value.pointer)
            measure(value.gvalue, length)  # the text itself may be in any encoding, so pyvips must not decode it
            yield int(length[0])


def interpretation(bands: int, *, is_deep: bool) -> str:
    """Return libvips' interpretation of pixels with this many bands: grey or sRGB, of 8 or 16 bits."""
    if bands < 3:  # noqa: PLR2004 - grey, with or without alpha
        return "grey16" if is_deep else "b-w"
    return "rgb16" if is_deep else "srgb"


def from_bytes(pixels: bytes, sides: tuple[int, int], *, bands: int, is_deep: bool = False) -> pyvips.Image:
    """Return an image of pixels in memory: grey or sRGB, with alpha if it has one more band."""
    picture = pyvips.Image.new_from_memory(pixels, *sides, bands, "ushort" if is_deep else "uchar")
    return picture.copy(interpretation=interpretation(bands, is_deep=is_deep))


def from_samples(pixels: bytearray, sides: tuple[int, int], *, like: pyvips.Image) -> pyvips.Image:
    """Return an image of pixels in memory, with the bands, profile, resolution and orientation of `like`."""
    picture = pyvips.Image.new_from_memory(pixels, *sides, like.bands, "uchar")
    labelled = picture.copy(interpretation=like.interpretation, xres=like.xres, yres=like.yres)
    for field in _KEPT_FIELDS:
        if kind := like.get_typeof(field):
            labelled.set_type(kind, field, like.get(field))
    return labelled


def blank(sides: tuple[int, int], bands: int, *, like: pyvips.Image) -> pyvips.Image:
    """Return an image without content, of the sample type and with the profile and metadata of `like`."""
    empty = pyvips.Image.black(*sides, bands=bands).cast(like.format)
    return with_fields(empty.copy(interpretation=interpretation(bands, is_deep=like.format != "uchar")), like)


def with_fields(image: pyvips.Image, like: pyvips.Image) -> pyvips.Image:
    """Return an image with the profile, the metadata and the orientation of `like`, in the place of its own.

    EXIF comes first, because libvips also sets the orientation that it names.
    """
    labelled, plain = image.copy(), fields(pyvips.Image.black(1, 1))
    for field in sorted({*fields(like)}.difference(plain), key=EXIF.encode().__ne__):
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
    for field in fields(image):
        if field.startswith(_METADATA_PREFIXES):
            labelled.remove(field)
    if exif:
        labelled.set_type(pyvips.GValue.blob_type, EXIF, b"Exif\0\0" + exif)
    return labelled


def with_metadata(image: pyvips.Image, *, exif: bytes, orientation: int) -> pyvips.Image:
    """Return the image with this EXIF block and this orientation; pixels stay unchanged."""
    labelled = image.copy()
    labelled.set_type(pyvips.GValue.blob_type, EXIF, exif)
    labelled.set_type(pyvips.GValue.gint_type, "orientation", orientation)
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


def _spliced_source(spliced: Spliced) -> pyvips.Source:
    file = os.open(spliced.path, os.O_RDONLY | os.O_CLOEXEC)

    def read(start: int, most: int) -> bytes:
        part = spliced.locate(start)
        return part[:most] if isinstance(part, bytes) else os.pread(file, min(most, len(part)), part.start)

    source = _custom_source(read, ends=spliced.length)
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
def _reading() -> Iterator[None]:
    """Read the pixels of an original in this block; its errors become ours.

    A decoder that repairs its input silently is not believed: its messages count, unless they concern no pixel.

    Raises:
        Corrupt: the file is truncated or invalid.
    """
    with _translate_errors(), decoder_messages.listening() as messages:
        yield
    heard = "\n".join(messages)
    if verdict(heard) is not Verdict.COMPLETE:
        raise Corrupt(sentences.DAMAGED, cause=heard)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Convert libvips' errors into ours; for use only where bytes of the original are read.

    An error anywhere else is caused by our code or by the machine, and must not be blamed on the original.
    """
    decoder_messages.take_error_buffer()
    try:
        yield
    except (pyvips.Error, UnicodeDecodeError) as error:
        cause = decoder_messages.detail(error)
        if _HEIF_LIMIT in cause:
            raise TooManyPixels(sentences.DECODER_LIMIT, cause=cause) from error
        if _UNSUPPORTED.search(cause):
            raise UnsupportedFormat(sentences.UNSUPPORTED_FEATURE, cause=cause) from error
        raise Corrupt(sentences.DAMAGED, cause=cause) from error
