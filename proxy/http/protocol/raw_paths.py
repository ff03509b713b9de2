"""The raw paths of mounted routes, whose keys may contain slashes and escapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar.exceptions import MethodNotAllowedException, NotFoundException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import Scope

READING = ("GET", "HEAD")


def path_below(mount: str, scope: Scope, *, template: str, methods: Sequence[str] = READING) -> bytes:
    """Return the raw path below a mount, still percent-encoded; `template` is the route's label in metrics.

    Raises:
        MethodNotAllowedException: the method is not one of `methods`.
        NotFoundException: the path is not below the mount, it only begins with the same characters.
    """
    scope["path_template"] = mount + template  # a mount has no template of its own
    if scope["method"] not in methods:  # type: ignore[typeddict-item] # a mount of http requests
        raise MethodNotAllowedException(headers={"Allow": ", ".join(methods)})
    before, found, below = scope["raw_path"].partition(b"?")[0].partition(mount.encode() + b"/")
    if before or not found:
        raise NotFoundException
    return below
