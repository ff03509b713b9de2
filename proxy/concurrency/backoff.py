"""Waits between retries: exponential, capped, and jittered so that simultaneous failures do not retry together."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

JITTER: Final = 0.2
"""The fraction by which a wait is shortened or lengthened at random."""

_MAX_DOUBLINGS: Final = 30
"""Keeps the power finite; every `longest_seconds` is reached long before."""


def jittered(seconds: float) -> float:
    """Return a random wait within `JITTER` of `seconds`."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, needs no secure randomness


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential back-off: waits double from `first_seconds` up to `longest_seconds`."""

    first_seconds: float
    longest_seconds: float

    def wait_seconds(self, attempt: int) -> float:
        """Return the jittered wait after a failed attempt; attempts count from 1."""
        doubled = self.first_seconds * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS)
        return jittered(min(doubled, self.longest_seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Backoff):
    """A back-off that ends after `attempts`."""

    attempts: int
