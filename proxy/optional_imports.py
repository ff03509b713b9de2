"""Imports of libraries without the optional ones that they would load too."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def unavailable(*names: str) -> Iterator[None]:
    """Let imports of these modules fail within the block, as if they were not installed, unless they are loaded."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type] # None makes an import fail
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
