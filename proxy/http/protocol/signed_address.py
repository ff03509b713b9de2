"""What a request without a body signs: its method and address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from litestar.types import HTTPScope

_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = re.compile(rb"[A-Za-z0-9._~-]")


def signed_addresses(scope: HTTPScope, base_path: str = "") -> list[bytes]:
    """Return what a request without a body may have signed in place of one, such as `GET /v1/jobs?status=error`.

    A signature over nothing would be valid for every such request: who saw one that lists could delete with it. The
    first is the address as it came, below `base_path`. The others are the same address without `base_path`, and in the
    spellings that proxies and URL libraries change into each other on the way: percent escapes in upper or lower case,
    and unreserved characters escaped or not (RFC 3986, section 6.2.2).
    """
    path, _, _ = scope["raw_path"].partition(b"?")
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    method = scope["method"].encode() + b" "
    plain = _ESCAPE.sub(_unescaped, path)
    spellings = [path, plain, plain.replace(b"~", b"%7E")]
    cased = [_ESCAPE.sub(change, one) for one in spellings for change in (_upper, _lower)]
    paths = [base + one for base in (base_path.encode(), b"") for one in (path, *cased)]
    return list(dict.fromkeys(method + one + query for one in paths))


def _unescaped(found: re.Match[bytes]) -> bytes:
    character = bytes.fromhex(found[0][1:].decode())
    return character if _UNRESERVED.fullmatch(character) else found[0]


def _upper(found: re.Match[bytes]) -> bytes:
    return found[0].upper()


def _lower(found: re.Match[bytes]) -> bytes:
    return found[0].lower()
