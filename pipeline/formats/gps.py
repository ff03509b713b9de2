"""Whether the bytes of a derivative contain a position, in whatever format it is; no library reads them."""

from __future__ import annotations

import re
import struct

_TIFF = re.compile(rb"II\x2a\x00|MM\x00\x2a")
"""The start of an EXIF block, which all formats embed as a TIFF file (Exif 2.32, section 4.5.2)."""

_GPS_DIRECTORY = 0x8825
"""The tag of the directory with the position (Exif 2.32, section 4.6.3)."""

_ENTRY_BYTES = 12

_XMP = b"exif:GPSL"
"""The start of `GPSLatitude` and `GPSLongitude` in XMP (XMP specification, part 2)."""


def has_position(data: bytes) -> bool:
    """Return whether an EXIF block has a GPS directory, or XMP has a latitude or longitude."""
    return _XMP in data or any(_has_gps_directory(data[found.start() :]) for found in _TIFF.finditer(data))


def _has_gps_directory(block: bytes) -> bool:
    order = "<" if block.startswith(b"II") else ">"
    try:
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, first)
        tags = [struct.unpack_from(f"{order}H", block, first + 2 + _ENTRY_BYTES * number)[0] for number in range(count)]
    except struct.error:  # these bytes are not an EXIF block
        return False
    return _GPS_DIRECTORY in tags
