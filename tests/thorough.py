"""How often what is left to chance is tried: in CI as often as it takes, on a developer's machine less often.

`CI=true` and `THOROUGH=true` (`make test THOROUGH=true`) ask for all of it. Every test runs in both cases, with fewer
kills, jobs and photographs in the second.
"""

from __future__ import annotations

import os

THOROUGH = any(os.environ.get(name) for name in ("CI", "THOROUGH"))


def count(thorough: int, *, otherwise: int) -> int:
    """Return the first number if everything is asked for, otherwise the second."""
    return thorough if THOROUGH else otherwise
