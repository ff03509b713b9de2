"""What of a request is signed: a post's body; else, where there is none, its method with its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar.types import HTTPScope


def address(scope: HTTPScope) -> bytes:
    """Give what a request without a body signs in place of one, such as `GET /v1/jobs?status=error`.

    A signature over nothing would be good for every such request: who saw one that lists could delete with it.
    """
    path, _, _ = scope["raw_path"].partition(b"?")
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return scope["method"].encode() + b" " + path + query
