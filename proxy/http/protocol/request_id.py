"""Request ids: the client's own, or one that is unique in this process and unlikely to be another's."""

from __future__ import annotations

import re
import secrets
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUEST_ID = b"x-request-id"

_SANE_ID = re.compile(rb"[\w.:-]{1,64}")
"""Request ids of clients that are accepted: they can neither forge a log line nor bloat it."""

_THIS_PROCESS = secrets.token_hex(10).encode()
_numbers = count(1)


def new_request_id() -> bytes:
    """Return an id of 32 hexadecimal digits."""
    return b"%s%012x" % (_THIS_PROCESS, next(_numbers))


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the id that the client chose, if it is sane, or a new one."""
    for name, value in headers:
        if name == REQUEST_ID and _SANE_ID.fullmatch(value):
            return value
    return new_request_id()
