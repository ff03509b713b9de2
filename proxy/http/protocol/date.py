"""The `Date` header: uvicorn renews its own once a second, so that it may lie before a fresh `Last-Modified`."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache


def date() -> bytes:
    """Return the present date in HTTP's format (RFC 9110, section 5.6.7)."""
    return _date(int(time.time()))


@lru_cache(1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
