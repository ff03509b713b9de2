"""Metadata leaks: metadata in a file that must not be published with the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.formats import jpeg, png
from pipeline.image import vips

if TYPE_CHECKING:
    from pipeline.decode.original import Original

GPS, CAMERA, OWNER, THUMBNAIL, COMMENT = "gps", "camera", "owner", "thumbnail", "comment"

_XMP = "xmp-data"
_BLOCKS = {_XMP: "xmp", "iptc-data": "iptc", "photoshop-data": "photoshop", "jpeg-thumbnail-data": THUMBNAIL}
_PNG_COMMENT = "png-comment-"
_TAG = "exif-ifd"
_DIRECTORIES = {"1": THUMBNAIL, "3": GPS}
"""The EXIF directories whose tags are all of one kind, by libvips' numbers."""

_OWNER_TAGS = frozenset({"Artist", "Copyright"})
_STRUCTURE = frozenset(
    {
        "ColorSpace", "ComponentsConfiguration", "ExifVersion", "FlashpixVersion", "Orientation", "PixelXDimension",
        "PixelYDimension", "ResolutionUnit", "XResolution", "YCbCrPositioning", "YResolution",
    }
)  # fmt: skip
"""Tags that describe how the image is stored, and reveal neither the photographer nor the location.

libvips adds them to the files that it writes.
"""


def leaks(original: Original) -> tuple[str, ...]:
    """Return the kinds of metadata in a file, in alphabetical order: "camera", "gps", "owner", "xmp" and others."""
    header = original.header
    fields = [field.decode(errors="replace") for field in vips.fields(header)]
    kinds = {kind for field in fields if (kind := _kind(field))}
    if vips.EXIF in fields and not any(field.startswith(_TAG) for field in fields):
        kinds.add(CAMERA)  # other programs may read a block that libvips cannot
    if _XMP in fields and b"GPSL" in bytes(header.get(_XMP)):
        kinds.add(GPS)
    # libvips ignores the comments of JPEGs, and is given no compressed texts of PNGs.
    has_comment = {"jpeg": jpeg.has_comment, "png": png.has_text}.get(original.readable.name)
    if has_comment and has_comment(original.path):
        kinds.add(COMMENT)
    return tuple(sorted(kinds))


def _kind(field: str) -> str | None:
    if field.startswith(_PNG_COMMENT):
        return COMMENT
    if not field.startswith(_TAG):
        return _BLOCKS.get(field)
    directory, _, tag = field.removeprefix(_TAG).partition("-")
    if directory in _DIRECTORIES:
        return _DIRECTORIES[directory]
    if tag in _OWNER_TAGS:
        return OWNER
    return None if tag in _STRUCTURE else CAMERA
