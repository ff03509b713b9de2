"""Points in time, from the forms of EXIF, XMP, IPTC and PNG to ISO 8601."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, time
from typing import TYPE_CHECKING, Final

from pipeline.facts_model import YEARS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.facts_model import Doubt

_FORM: Final = re.compile(
    r"(?P<year>[0-9]{4})(?P<dash>[:/.-]?)(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]{1,9}))?)?"
    r" ?(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_OFFSET: Final = re.compile(r"(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2})")
_MOST_MINUTES: Final = 14 * 60
_PART_DIGITS: Final = 6

_NEVER: Final = frozenset({"1970-01-01", "1969-12-31"})
"""Zero seconds since the epoch, in any time zone."""

_DEFAULTS: Final = re.compile(r"1980-01-01|2002-12-08T12:00:00|20[0-9]{2}-01-01T00:00:0")
"""The first times of camera clocks that are not set; Qualcomm's is in December 2002."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: its local part in ISO 8601, its fraction of a second, its offset, and why it may be wrong."""

    local: str
    part: str = ""
    offset: str = ""
    doubts: tuple[Doubt, ...] = ()

    def __str__(self) -> str:
        """Return the moment in ISO 8601."""
        return f"{self.local}{'.' if self.part else ''}{self.part}{self.offset}"

    def doubted(self, doubt: Doubt) -> Moment:
        """Return the moment with one more reason for which it may be wrong."""
        return replace(self, doubts=(*self.doubts, doubt))

    def with_offset_of(self, others: Iterable[Moment | None]) -> Moment:
        """Return the moment with the offset of the first other that has one and the same local time, if any has."""
        if self.offset:
            return self
        offset = next((other.offset for other in others if other and other.offset and other.local == self.local), "")
        return replace(self, offset=offset, doubts=(*self.doubts, "other-offset")) if offset else self


def moment(text: str | None, *, part: str = "", offset: str = "") -> Moment | None:
    """Return the moment that a text names, or None if it names none; `part` and `offset` are those of other tags."""
    found = _FORM.fullmatch(text.strip(" \0")) if text else None
    if found is None:
        return None
    try:
        day = date(int(found["year"]), int(found["month"]), int(found["day"])).isoformat()
        clock = time(int(found["hour"]), int(found["minute"]), int(found["second"] or 0)) if found["hour"] else None
    except ValueError:
        return None
    if day in _NEVER or not YEARS[0] <= int(found["year"]) <= YEARS[1]:
        return None
    if clock is None:
        return Moment(day, doubts=("date-only",))
    local = f"{day}T{clock.isoformat()}"
    return Moment(
        local,
        part=_part(found["part"] or part.strip(" \0")),
        offset=offset_of(found["offset"] or offset),
        doubts=("default-clock",) if _DEFAULTS.match(local) else (),
    )


def offset_of(text: str) -> str:
    """Return an offset from UTC in the form of ISO 8601; empty if the text is none."""
    text = text.strip(" \0")
    if text == "Z":
        return text
    found = _OFFSET.fullmatch(text)
    if found is None:
        return ""
    hours, minutes = int(found["hours"]), int(found["minutes"])
    is_possible = 60 * hours + minutes <= _MOST_MINUTES and minutes < 60  # noqa: PLR2004 - of an hour
    return f"{found['sign']}{hours:02}:{minutes:02}" if is_possible else ""


def _part(text: str) -> str:
    return text[:_PART_DIGITS].rstrip("0") if text.isascii() and text.isdecimal() else ""
