"""Request ids: unique in this process, and unlikely to be another's."""

from __future__ import annotations

import secrets
from itertools import count

_THIS_PROCESS = secrets.token_hex(10).encode()
_numbers = count(1)


def new_request_id() -> bytes:
    """Return an id of 32 hexadecimal digits."""
    return b"%s%012x" % (_THIS_PROCESS, next(_numbers))
