"""Numbers, times and foreign texts as pages show them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from pipeline.facts_model import CONTROL

KIBIBYTE: Final = 1024
UNKNOWN: Final = "?"
"""Instead of a number that is not known."""

MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 3600, 86_400

_INVISIBLE: Final = re.compile(CONTROL)
"""Controls, and marks that reverse the text after them: a name must not look like another one."""


def text(value: str) -> str:
    """Return a foreign text in which such characters are visible escapes, with a backslash."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), value)


def size(length: float) -> str:
    """Return a number of bytes, such as `1.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if length < KIBIBYTE or unit == "GiB":
            break
        length /= KIBIBYTE
    return f"{length:.0f} {unit}" if unit == "B" or length >= 100 else f"{length:.1f} {unit}"  # noqa: PLR2004 - three digits


def saving(before: int, after: int) -> str:
    """Return how many bytes were saved, such as `93 % smaller`; an empty text if that is unknown."""
    if not before or not after:
        return ""
    percent = int(100 * (1 - after / before))  # never rounded up to 100
    return f"{percent} % smaller" if percent >= 0 else f"{-percent} % larger"


def duration(seconds: float) -> str:
    """Return a duration, such as `312 ms`, `2.4 s` or `5 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE_SECONDS:
        return f"{seconds:.1f} s"
    if seconds < 2 * HOUR_SECONDS:
        return f"{seconds / MINUTE_SECONDS:.0f} min"
    return f"{seconds / HOUR_SECONDS:.0f} h" if seconds < 2 * DAY_SECONDS else f"{seconds / DAY_SECONDS:.0f} days"


def ago(moment: datetime | None, *, now: datetime | None = None) -> str:
    """Return how long ago something was, such as `5 min ago`."""
    if moment is None:
        return "not yet"
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 0:
        return f"in {duration(-seconds)}"
    if seconds < MINUTE_SECONDS:
        return "just now" if seconds < 1 else f"{seconds:.0f} s ago"
    return f"{duration(seconds)} ago"


def when(moment: datetime | None) -> str:
    """Return a time in UTC, such as `2026-11-30 06:12:45 UTC`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""


def number(value: float) -> str:
    """Return a number with separators, such as `1,234`; a dash for one that is not known."""
    return UNKNOWN if value != value else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"  # noqa: PLR0124 - NaN
