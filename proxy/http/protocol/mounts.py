"""What every mounted route has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar.exceptions import MethodNotAllowedException, NotFoundException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import HTTPScope, Scope

READING = ("GET", "HEAD")


def path_below(mount: str, scope: Scope, *, template: str, methods: Sequence[str] = READING) -> bytes:
    """Give the raw path below a mount, still percent-encoded; `template` names the route in the series.

    Raises:
        MethodNotAllowedException: somebody wants to do something else than the `methods`.
        NotFoundException: the path merely begins like the mount's.
    """
    scope["path_template"] = mount + template  # a mount has none of its own
    if scope["method"] not in methods:  # type: ignore[typeddict-item] # a mount of http requests
        raise MethodNotAllowedException(headers={"Allow": ", ".join(methods)})
    before, found, below = scope["raw_path"].partition(b"?")[0].partition(mount.encode() + b"/")
    if before or not found:
        raise NotFoundException
    return below


def address(scope: HTTPScope) -> bytes:
    """Give what a request without a body signs in place of one, such as `GET /v1/jobs?status=error`.

    A signature over nothing would be good for every such request: who saw one that lists could delete with it.
    """
    path, _, _ = scope["raw_path"].partition(b"?")
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return scope["method"].encode() + b" " + path + query
