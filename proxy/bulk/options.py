"""Parsers for the values of command-line options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from proxy.errors import CannotStart

_RATE = re.compile(r"(?P<number>\d+(\.\d+)?)(/(?P<unit>s|min|h))?")
_BUDGET = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<percent>\s?%)?")
_ALL_PERCENT = 100
_UNIT_SECONDS = {None: 1, "s": 1, "min": 60, "h": 3600}


class BadOption(CannotStart):
    """An option names something that cannot be used; the message states the option, the fault and what to do."""


class OtherOptions(Exception):
    """The state or report of an earlier command does not match the options; the message states what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The number of items that may fail: a fraction of all if `is_share`, otherwise a count."""

    most: Fraction
    is_share: bool

    def holds(self, *, failed: int, originals: int) -> bool:
        """Return whether `failed` is within the budget."""
        return failed <= (self.most * originals if self.is_share else self.most)


def parse_budget(text: str) -> Budget:
    """Return the budget of a text such as "0.5%" or "20".

    Raises:
        ValueError: the text is neither a percentage up to 100 nor a whole number.
    """
    match = _BUDGET.fullmatch(text.strip())
    if match is None or (not match["percent"] and "." in match["number"]):
        raise ValueError(f"{text!r} is neither a percentage, such as 0.5%, nor a whole number, such as 20.")
    if match["percent"] and Fraction(match["number"]) > _ALL_PERCENT:
        raise ValueError(f"{text!r} is more than 100%.")
    number = Fraction(match["number"])  # exact: 0.7 % of 1,000 is 7, but slightly less in floating point
    return Budget(most=number / 100 if match["percent"] else number, is_share=bool(match["percent"]))


def parse_rate(text: str) -> float:
    """Return the seconds between two starts at a rate of "5/s", "100/min", "2000/h" or "5" (per second).

    Raises:
        ValueError: the text is not a rate, or the rate is zero.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or not float(match["number"]):
        raise ValueError(f"{text!r} is not a rate, such as 5/s, 100/min or 2000/h.")
    return _UNIT_SECONDS[match["unit"]] / float(match["number"])


def parse_date(text: str) -> datetime:
    """Return the time of an ISO 8601 date or time, in UTC unless it has a time zone.

    Raises:
        ValueError: the text is not a date or time.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date, such as 2026-11-24 or 2026-11-24T12:00Z.") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
