"""Positions: degrees of WGS 84 from the forms of EXIF and XMP, or None where they make no sense."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.facts.numbers import in_range, parsed
from pipeline.facts_model import Doubt, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.facts.tags import TagDirectory
    from pipeline.facts.xmp import Properties

_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _ALTITUDE_REF, _ALTITUDE = range(1, 7)
_STATUS, _DATUM, _ACCURACY = 9, 18, 31
"""The tags of the directory with the position (Exif 3.0, table 15)."""

_XMP_DEGREES: Final = re.compile(
    r"([+-]?)([0-9]{1,3}(?:[.][0-9]{1,30})?)"
    r"(?:,([0-9]{1,2}(?:[.][0-9]{1,30})?)(?:,([0-9]{1,2}(?:[.][0-9]{1,30})?))?)?\s?([NSEW]?)",
    re.IGNORECASE,
)
"""Degrees, minutes and seconds with a letter, as XMP defines them; programs also write signed degrees without one."""

_LETTERS, _NEGATIVE = frozenset("NSEW"), frozenset("SW")
_BELOW: Final = frozenset({1, 3})
"""The references of an altitude below sea level, or below the ellipsoid (Exif 3.0)."""

_VOID: Final = "V"
_WGS_84: Final = re.compile(r"|.*84.*", re.DOTALL)
_SIXTY: Final = 60


class Position(NamedTuple):
    """A place and why it may be wrong."""

    place: Place
    doubts: tuple[Doubt, ...] = ()


def place_of_exif(gps: TagDirectory) -> Position | None:
    """Return the position of an EXIF block; None if it has none that makes sense."""
    latitude_ref, longitude_ref = (_letter(gps.texts.get(tag, b"")) for tag in (_LATITUDE_REF, _LONGITUDE_REF))
    latitude = _signed(_degrees(gps.numbers.get(_LATITUDE, ())), latitude_ref)
    longitude = _signed(_degrees(gps.numbers.get(_LONGITUDE, ())), longitude_ref)
    is_sure = latitude_ref in {"N", "S"} and longitude_ref in {"E", "W"}
    return _position(
        (latitude, longitude),
        altitude=_altitude(gps.number(_ALTITUDE), is_below=_reference(gps) in _BELOW),
        accuracy=gps.number(_ACCURACY),
        status=_letter(gps.texts.get(_STATUS, b"")),
        datum=gps.texts.get(_DATUM, b"").decode("ascii", errors="replace"),
        doubts=() if is_sure else ("hemisphere",),
    )


def place_of_xmp(xmp: Properties) -> Position | None:
    """Return the position of an XMP packet; None if it has none that makes sense."""
    reference = parsed(xmp.first("exif:GPSAltitudeRef"))
    return _position(
        (_xmp_degrees(xmp.first("exif:GPSLatitude"), "NS"), _xmp_degrees(xmp.first("exif:GPSLongitude"), "EW")),
        altitude=_altitude(parsed(xmp.first("exif:GPSAltitude")), is_below=reference in _BELOW),
        accuracy=parsed(xmp.first("exif:GPSHPositioningError", "exifEX:GPSHPositioningError")),
        status=(xmp.first("exif:GPSStatus") or "").upper(),
        datum=xmp.first("exif:GPSMapDatum") or "",
    )


def _position(
    sides: tuple[float | None, float | None],
    *,
    altitude: float | None,
    accuracy: float | None,
    status: str,
    datum: str,
    doubts: tuple[Doubt, ...] = (),
) -> Position | None:
    latitude, longitude = in_range(sides[0], "latitude"), in_range(sides[1], "longitude")
    if latitude is None or longitude is None or (not latitude and not longitude):
        return None
    if not _WGS_84.fullmatch(datum.strip(" \0")):
        doubts = (*doubts, "datum")
    if status == _VOID:
        doubts = (*doubts, "no-fix")
    place = Place(
        latitude=latitude,
        longitude=longitude,
        altitude=in_range(altitude, "altitude"),
        accuracy=in_range(accuracy, "accuracy") or None,
    )
    return Position(place, doubts)


def _letter(raw: bytes) -> str:
    return raw.strip(b" \0")[:1].decode("ascii", errors="replace").upper()


def _reference(gps: TagDirectory) -> float | None:
    """Return the reference of the altitude: a number, which programs also write as a byte of no type or as a digit."""
    raw = gps.texts.get(_ALTITUDE_REF, b"")[:1]
    return gps.number(_ALTITUDE_REF) if not raw else float(raw) if raw.isdigit() else raw[0]


def _degrees(parts: Sequence[float | None]) -> float | None:
    """Return degrees from degrees, minutes and seconds, with the sign of the first; seconds may be no number."""
    degrees, minutes, seconds = (*parts, 0.0, 0.0, 0.0)[:3] if parts else (None, None, None)
    if degrees is None or minutes is None:
        return None
    sign, seconds = (-1 if degrees < 0 else 1), seconds or 0.0
    if not 0 <= minutes <= _SIXTY or not 0 <= seconds <= _SIXTY:
        return None
    return sign * (abs(degrees) + minutes / _SIXTY + seconds / _SIXTY**2)


def _signed(degrees: float | None, reference: str) -> float | None:
    """Return degrees with the sign of their reference; they keep their own if there is none."""
    if degrees is None or reference not in _LETTERS:
        return degrees
    return -abs(degrees) if reference in _NEGATIVE else abs(degrees)


def _altitude(altitude: float | None, *, is_below: bool) -> float | None:
    return -abs(altitude) if altitude is not None and is_below else altitude


def _xmp_degrees(text: str | None, letters: str) -> float | None:
    found = _XMP_DEGREES.fullmatch(text.strip()) if text else None
    if found is None or (found[5] and found[5].upper() not in letters):
        return None
    degrees = _degrees([float(part or 0) for part in found.groups()[1:4]])
    return _signed(-degrees if degrees is not None and found[1] == "-" else degrees, found[5].upper())
