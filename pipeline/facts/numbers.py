"""Numbers of metadata: in range, or None."""

from __future__ import annotations

import math
import re
from typing import Final

from pipeline.facts_model import RANGES

_NUMBER: Final = re.compile(r"([+-]?[0-9]{1,18}(?:[.][0-9]{1,18})?)(?:/([0-9]{1,18}))?")
_DIGITS: Final = 10


def parsed(text: str | None) -> float | None:
    """Return the number or the fraction that XMP writes; None if it is none, such as 0/0."""
    found = _NUMBER.fullmatch(text.strip()) if text else None
    if found is None:
        return None
    whole = float(found[2] or 1)
    return float(found[1]) / whole if whole else None


def in_range(value: float | None, field: str) -> float | None:
    """Return a value as it is published in `field`, with ten digits; None if it is outside of the field's range."""
    least, most = RANGES[field]
    if value is None or not math.isfinite(value) or not least <= value <= most:
        return None
    return float(f"{value:.{_DIGITS}g}")
