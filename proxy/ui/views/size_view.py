"""A size of a picture as pages show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeView:
    """A derivative as a picture."""

    name: str
    key: str
    path: str
    """Where these pages show it, empty if it was deleted since; `url` is where the public reads it."""
    url: str
    width: int
    height: int
    bytes: int
    content_type: str
    saving: str = ""
    ready: str = ""
    """After which duration its file was complete; empty if that is unknown."""
    state: str = ""
    """Fresh, or why it is stale; empty if that was not looked up."""
