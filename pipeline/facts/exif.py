"""What the tags of an EXIF block mean. Source of the numbers: Exif 3.0 (CIPA DC-008), and Windows for its own tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.facts.texts import UTF_16_BE, UTF_16_LE, Text, decoded
from pipeline.facts.times import moment

if TYPE_CHECKING:
    from pipeline.facts.tags import ExifTags, TagDirectory
    from pipeline.facts.times import Moment

MAKE, MODEL, DESCRIPTION, ARTIST, COPYRIGHT, WINDOWS_AUTHOR = 0x010F, 0x0110, 0x010E, 0x013B, 0x8298, 0x9C9D
LENS_MAKE, LENS_MODEL = 0xA433, 0xA434
EXPOSURE_TIME, F_NUMBER, EXPOSURE_BIAS, FLASH, FOCAL_LENGTH, FOCAL_LENGTH_35MM = (
    0x829A,
    0x829D,
    0x9204,
    0x9209,
    0x920A,
    0xA405,
)
_SENSITIVITIES: Final = (0x8827, 0x8832, 0x8833, 0x8831)
_NO_SENSITIVITY: Final = 65_535
"""What the first of the tags holds if the sensitivity is too large for it."""

_SHUTTER_SPEED, _APERTURE = 0x9201, 0x9202
_ORIGINAL, _DIGITISED = (0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012)
"""The tags of a time, of its fraction of a second, and of its offset."""

_OTHER_OFFSETS: Final = (0x9012, 0x9010)
_COMMENT: Final = 0x9286
_CODE_BYTES: Final = 8
_MOST_APEX: Final = 64


def taken(tags: ExifTags) -> Moment | None:
    """Return when the photograph was taken; an offset that other times of the block have is doubtful."""
    found = _moment(tags.exif, _ORIGINAL)
    if found is None or found.offset:
        return found
    offsets = (_ascii(tags.exif, tag) for tag in _OTHER_OFFSETS)
    other = moment(_ascii(tags.exif, _ORIGINAL[0]), offset=next(filter(None, offsets), ""))
    return found.with_offset_of([other])


def digitised(tags: ExifTags) -> Moment | None:
    """Return when the photograph was digitised: for a camera's own file, when it was taken."""
    found = _moment(tags.exif, _DIGITISED)
    return found.doubted("digitised") if found else None


def text(directory: TagDirectory, tag: int) -> Text | None:
    """Return a text; None if there is none."""
    return decoded(directory.texts[tag]) if tag in directory.texts else None


def copyright_of(tags: ExifTags) -> Text | None:
    """Return the names of the copyright holders: the photographer's and the editor's, which a zero byte separates."""
    names = [decoded(name.strip()) for name in tags.image.texts.get(COPYRIGHT, b"").split(b"\0")[:2] if name.strip()]
    if not names:
        return None
    return Text("; ".join(name.value for name in names), next((name.doubts for name in names if name.doubts), ()))


def creator_for_windows(tags: ExifTags) -> Text | None:
    """Return the author that Windows has stored, in UTF-16."""
    raw = tags.image.texts.get(WINDOWS_AUTHOR)
    return decoded(raw, encoding=UTF_16_LE) if raw else None


def comment(tags: ExifTags) -> Text | None:
    """Return the comment of a user, which programs fill with values of their own, too."""
    raw = tags.exif.texts.get(_COMMENT, b"")
    code, content = raw[:_CODE_BYTES].rstrip(b"\0"), raw[_CODE_BYTES:]
    if code == b"UNICODE":
        found = decoded(content, encoding=_utf_16(content, tags.exif))
    elif code in (b"ASCII", b""):
        found = decoded(content)
    else:
        return None
    return Text(found.value, (*found.doubts, "comment"))


def _utf_16(content: bytes, directory: TagDirectory) -> str:
    """Return the encoding of a text: programs do not keep to the byte order of the block, so zeros come first."""
    zeros_if_little, zeros_if_big = content[1::2].count(0), content[::2].count(0)
    if zeros_if_little == zeros_if_big:
        return UTF_16_LE if directory.order == "<" else UTF_16_BE
    return UTF_16_LE if zeros_if_little > zeros_if_big else UTF_16_BE


def sensitivity(tags: ExifTags) -> float | None:
    """Return the ISO sensitivity."""
    numbers = (tags.exif.number(tag) for tag in _SENSITIVITIES)
    return next((number for number in numbers if number and number != _NO_SENSITIVITY), None)


def seconds_computed(tags: ExifTags) -> float | None:
    """Return the exposure time from the shutter speed, in seconds."""
    speed = tags.exif.number(_SHUTTER_SPEED)
    return 2**-speed if speed is not None and abs(speed) < _MOST_APEX else None


def f_number_computed(tags: ExifTags) -> float | None:
    """Return the f-number from the aperture value."""
    aperture = tags.exif.number(_APERTURE)
    return 2 ** (aperture / 2) if aperture is not None and 0 < aperture < _MOST_APEX else None


def _moment(directory: TagDirectory, names: tuple[int, int, int]) -> Moment | None:
    stated, part, offset = (_ascii(directory, tag) for tag in names)
    return moment(stated, part=part, offset=offset)


def _ascii(directory: TagDirectory, tag: int) -> str:
    return directory.texts.get(tag, b"").split(b"\0")[0].decode("ascii", errors="replace")
