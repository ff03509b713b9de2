"""How often what is left to chance is tried: every night as often as it takes, before a merge less often.

`make test THOROUGH=true` asks for all of it. Every test runs in both cases, otherwise with fewer kills, jobs and
photographs.
"""

from __future__ import annotations

import os

THOROUGH = bool(os.environ.get("THOROUGH"))
IN_CI = THOROUGH or bool(os.environ.get("CI"))


def count(thorough: int, *, otherwise: int) -> int:
    """Return the first number if everything is asked for, otherwise the second."""
    return thorough if THOROUGH else otherwise


def in_ci(all_of_it: int, *, otherwise: int) -> int:
    """Return the first number in CI as well: it is promised there, or costs little."""
    return all_of_it if IN_CI else otherwise
