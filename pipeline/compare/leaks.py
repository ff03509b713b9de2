"""What a file tells of its picture that visitors have no business to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.formats import jpeg
from pipeline.image import vips

if TYPE_CHECKING:
    from pipeline.decode.original import Original

GPS, CAMERA, OWNER, THUMBNAIL, COMMENT = "gps", "camera", "owner", "thumbnail", "comment"

_XMP = "xmp-data"
_BLOCKS = {_XMP: "xmp", "iptc-data": "iptc", "photoshop-data": "photoshop", "jpeg-thumbnail-data": THUMBNAIL}
_PNG_COMMENT = "png-comment-"
_TAG = "exif-ifd"
_DIRECTORIES = {"1": THUMBNAIL, "3": GPS}
"""EXIF's directories of which every tag is of one kind, as libvips counts them."""

_OWNER_TAGS = frozenset({"Artist", "Copyright"})
_STRUCTURE = frozenset(
    {
        "ColorSpace", "ComponentsConfiguration", "ExifVersion", "FlashpixVersion", "Orientation", "PixelXDimension",
        "PixelYDimension", "ResolutionUnit", "XResolution", "YCbCrPositioning", "YResolution",
    }
)  # fmt: skip
"""Tags that say how the picture is stored, and nothing of who took it where; libvips adds them to what it writes."""


def leaks(original: Original) -> tuple[str, ...]:
    """Name the kinds of metadata in a file, in alphabetical order: "gps", "camera", "owner", "xmp"..."""
    header = original.header
    fields = header.get_fields()
    kinds = {kind for field in fields if (kind := _kind(field))}
    if vips.EXIF in fields and not any(field.startswith(_TAG) for field in fields):
        kinds.add(CAMERA)  # a block that cannot be read here may be read elsewhere
    if _XMP in fields and b"GPSL" in bytes(header.get(_XMP)):
        kinds.add(GPS)
    if original.readable.name == "jpeg" and jpeg.has_comment(original.path):  # libvips tells of no such comment
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
