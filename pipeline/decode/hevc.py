"""HEVC decoding with libde265, which pi-heif brings, because libvips is shipped without an HEVC decoder.

libde265 is called directly. libheif ignores its warnings, which are the only sign of damaged image data, and holds an
image in three forms. The Python part of pi-heif loads Pillow, some 14 MB.
"""

from __future__ import annotations

import ctypes
import weakref
from contextlib import ExitStack, suppress
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.errors import TooManyPixels, UnsupportedFormat
from pipeline.formats.heif.boxes import Cursor, damaged
from pipeline.image import ycbcr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.formats.heif.main_image import Coded
    from pipeline.image import vips

_MODULE = "_pi_heif"
"""The compiled part of pi-heif."""

_CHECK_HASH = 0
"""libde265's number of the parameter for comparing pixels with their hash in the file, if it has one."""

_HARMLESS = (1000,)
"""libde265's numbers of warnings that are not about the image: it cannot use several threads."""

_UNKNOWN = (None, 2)
"""H.273's number of an unspecified matrix, and no number."""

_SHARED = {1: (2, 2), 2: (2, 1), 3: (1, 1)}
"""How many pixels across and down share a sample of colour, by HEVC's `chroma_format_idc`; 0 is grey."""

_LENGTH_BYTES = 21
"""Bytes before the length of a length in the configuration record of HEVC (ISO/IEC 14496-15)."""


_LIMIT = b"security limit"
"""The words in libde265's error for an image above libde265's own limits."""

_MOST_UNITS = 10_000
_POINTER, _INT = ctypes.c_void_p, ctypes.c_int

_SIGNATURES = {
    "new_decoder": (_POINTER, ()),
    "free_decoder": (_INT, (_POINTER,)),
    "set_parameter_bool": (None, (_POINTER, _INT, _INT)),
    "push_NAL": (_INT, (_POINTER, ctypes.c_char_p, _INT, ctypes.c_int64, _POINTER)),
    "flush_data": (_INT, (_POINTER,)),
    "decode": (_INT, (_POINTER, ctypes.POINTER(_INT))),
    "get_warning": (_INT, (_POINTER,)),
    "get_error_text": (ctypes.c_char_p, (_INT,)),
    "get_next_picture": (_POINTER, (_POINTER,)),
    "get_chroma_format": (_INT, (_POINTER,)),
    "get_bits_per_pixel": (_INT, (_POINTER, _INT)),
    "get_image_width": (_INT, (_POINTER, _INT)),
    "get_image_height": (_INT, (_POINTER, _INT)),
    "get_image_plane": (_POINTER, (_POINTER, _INT, ctypes.POINTER(_INT))),
    "get_image_matrix_coefficients": (_INT, (_POINTER,)),
    "get_image_full_range_flag": (_INT, (_POINTER,)),
}


class _Owner:
    """Something that lives as long as the pixels of a decoder are used."""


def decode(image: Coded, data: bytes) -> vips.Image:
    """Decode a coded image as RGB, or as grey; its samples have 8 bits, or 16 if they are coded with more.

    The decoder's pixels are not copied. They are converted when they are read, and freed with the image.

    Raises:
        UnsupportedFormat: pi-heif is not installed, or the colours are coded in an unusual way.
        Corrupt: the data are damaged; also if the decoder only warns of it.
    """
    de265 = _library()
    with ExitStack() as stack:
        decoder = de265.de265_new_decoder()
        stack.callback(de265.de265_free_decoder, decoder)
        picture = _decoded(decoder, _units(image.configuration, data))
        owner = _Owner()
        weakref.finalize(owner, de265.de265_free_decoder, decoder)
        stack.pop_all()
    chroma = de265.de265_get_chroma_format(picture)
    planes = [_plane(picture, channel, owner) for channel in range(3 if chroma else 1)]
    is_full_range = de265.de265_get_image_full_range_flag(picture) > 0
    return ycbcr.to_rgb(
        planes,
        shared=_SHARED.get(chroma, (1, 1)),
        matrix=de265.de265_get_image_matrix_coefficients(picture) if image.matrix in _UNKNOWN else image.matrix,
        is_full_range=is_full_range if image.is_full_range is None else image.is_full_range,
    )


def _units(configuration: bytes, data: bytes) -> Iterator[bytes]:
    """Yield the parameter sets, then the units of compressed data."""
    cursor = Cursor(configuration)
    cursor.take(_LENGTH_BYTES)
    width = (cursor.number(1) & 3) + 1
    for _ in range(cursor.number(1)):
        cursor.take(1)
        for _ in range(cursor.count(2, _MOST_UNITS)):
            yield cursor.take(cursor.number(2))
    cursor = Cursor(data)
    for _ in range(_MOST_UNITS):
        if not cursor.left:
            return
        yield cursor.take(cursor.number(width))
    raise damaged("it has too many parts")


def _decoded(decoder: int, units: Iterator[bytes]) -> int:
    """Decode one image; return it, as the decoder's own."""
    de265 = _library()
    de265.de265_set_parameter_bool(decoder, _CHECK_HASH, 1)
    for unit in units:
        _check(de265.de265_push_NAL(decoder, unit, len(unit), 0, None))
    _check(de265.de265_flush_data(decoder))
    more = _INT(1)
    picture = None
    while more.value and not picture:
        _check(de265.de265_decode(decoder, ctypes.byref(more)))
        picture = de265.de265_get_next_picture(decoder)
    while warning := de265.de265_get_warning(decoder):
        if warning not in _HARMLESS:
            _check(warning)
    if not picture:
        raise damaged("it has no pixels")
    return int(picture)


def _plane(picture: int, channel: int, owner: _Owner) -> ycbcr.Channel:
    """Return the pixels of a channel where the decoder has them."""
    de265 = _library()
    stride = _INT()
    start = de265.de265_get_image_plane(picture, channel, ctypes.byref(stride))
    width, height = de265.de265_get_image_width(picture, channel), de265.de265_get_image_height(picture, channel)
    if not start or width < 1 or height < 1:
        raise damaged("it has no pixels")
    held = (ctypes.c_uint8 * (stride.value * height)).from_address(start)
    held.owner = owner
    bits = de265.de265_get_bits_per_pixel(picture, channel)
    return ycbcr.Channel(pixels=held, stride=stride.value, sides=(width, height), bits=bits)


def _check(code: int) -> None:
    if code:
        if _LIMIT in _library().de265_get_error_text(code):
            raise TooManyPixels(sentences.DECODER_LIMIT)
        raise damaged("image data is lost")


def load() -> None:
    """Load the decoder, if it is installed; otherwise the first HEIC loads it."""
    with suppress(UnsupportedFormat):
        _library()


@cache
def _library() -> ctypes.CDLL:
    """Load libde265, once.

    Symbols are also found in the libraries that pi-heif's module is linked with.
    """
    module = find_spec(_MODULE)
    if not module or not module.origin:
        raise UnsupportedFormat(sentences.NO_HEIC_DECODER)
    library = ctypes.CDLL(module.origin)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, f"de265_{name}")
        function.restype, function.argtypes = result, arguments
    return library
