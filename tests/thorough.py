"""How often what is left to chance is tried: every night as often as it takes, before a merge less often.

`make test THOROUGH=true` asks for all of it. Every test runs in both cases, otherwise with fewer kills, jobs and
photographs.
"""

from __future__ import annotations

import os

THOROUGH = bool(os.environ.get("THOROUGH"))


def count(thorough: int, *, otherwise: int) -> int:
    """Return the first number if everything is asked for, otherwise the second."""
    return thorough if THOROUGH else otherwise
