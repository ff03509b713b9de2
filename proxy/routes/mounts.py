"""What every mounted route that only gives things to read has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar.exceptions import MethodNotAllowedException, NotFoundException

if TYPE_CHECKING:
    from litestar.types import Scope


def read_below(mount: str, scope: Scope, *, template: str) -> bytes:
    """Give the raw path below a mount, still percent-encoded; `template` names the route in the series.

    Raises:
        MethodNotAllowedException: somebody wants to do more than read.
        NotFoundException: the path merely begins like the mount's.
    """
    scope["path_template"] = mount + template  # a mount has none of its own
    if scope["method"] not in ("GET", "HEAD"):  # type: ignore[typeddict-item] # a mount of http requests
        raise MethodNotAllowedException(headers={"Allow": "GET, HEAD"})
    before, found, below = scope["raw_path"].partition(b"?")[0].partition(mount.encode() + b"/")
    if before or not found:
        raise NotFoundException
    return below
