"""Waits that differ a little, so that what began together does not come back together."""

from __future__ import annotations

import random
from typing import Final

JITTER: Final = 0.2
"""Share of itself by which a wait is shorter or longer."""


def jittered(seconds: float) -> float:
    """Give a wait around `seconds`."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing
