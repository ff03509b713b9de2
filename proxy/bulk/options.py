"""Values of command-line options, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

_RATE = re.compile(r"(?P<number>\d+(\.\d+)?)(/(?P<unit>s|min|h))?")
_BUDGET = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<percent>\s?%)?")
_UNIT_SECONDS = {None: 1, "s": 1, "min": 60, "h": 3600}


class OtherOptions(Exception):
    """What an earlier command has left does not fit the options; `str()` says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many may fail: a share of all, or a number."""

    most: Fraction
    is_share: bool

    def holds(self, *, failed: int, originals: int) -> bool:
        """Return whether so many failures are within the budget."""
        return failed <= (self.most * originals if self.is_share else self.most)


def parse_budget(text: str) -> Budget:
    """Parse "0.5%" or "20".

    Raises:
        ValueError: it is neither.
    """
    match = _BUDGET.fullmatch(text.strip())
    if match is None or (not match["percent"] and "." in match["number"]):
        raise ValueError(f"{text!r} is neither a share of the originals, such as 0.5%, nor a number of them.")
    number = Fraction(match["number"])  # 0.7 % of 1,000 are 7; in floating point they are a little less
    return Budget(most=number / 100 if match["percent"] else number, is_share=bool(match["percent"]))


def parse_rate(text: str) -> float:
    """Parse "5/s", "100/min", "2000/h" or "5" (per second) as the seconds between two starts.

    Raises:
        ValueError: it is none of them, or zero.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or not float(match["number"]):
        raise ValueError(f"{text!r} is no rate, such as 5/s, 100/min or 2000/h.")
    return _UNIT_SECONDS[match["unit"]] / float(match["number"])


def parse_date(text: str) -> datetime:
    """Parse a date or a time of ISO 8601; UTC unless it names a zone.

    Raises:
        ValueError: it is none.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date, such as 2026-11-24, or 2026-11-24T12:00Z.") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
