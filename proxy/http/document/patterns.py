"""Patterns of keys, as strict as the service: regular expressions of JSON Schema (ECMA-262)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.keys.layouts import ORIGINAL, SiteLayout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.keys.layouts import Layout

_CONTROL: Final = r"\x00-\x1f\x7f-\x9f"
_ANY: Final = rf"[^/{_CONTROL}]"
_PLAIN: Final = rf"[^./{_CONTROL}]{_ANY}*"
_SEGMENT: Final = rf"(?:{_PLAIN}|\.[^./{_CONTROL}]{_ANY}*|\.\.{_ANY}+)"
"""A part of a key between slashes: not empty, and neither `.` nor `..`."""

KEY: Final = rf"^{_SEGMENT}(?:/{_SEGMENT})*$"
"""Every key."""

PLAIN_KEY: Final = rf"^{_PLAIN}(?:/{_PLAIN})*$"
"""Every key that a folder can hold: no part begins with a dot."""

RECEIVER: Final = (
    r"^(?:|[Hh][Tt][Tt][Pp][Ss]?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*)(?::[0-9]{1,5})?"
    r"(?:[/?][!\"$-\[\]-~]*)?)$"
)
"""The form of a `callback_url`; empty for none. Its host has to be listed too."""

CURSOR: Final = r"^[0-9]{1,16}-[0-9a-f]{32}$"
"""The form of the cursor of a page of jobs."""


def original_pattern(layout: Layout, *, is_folder: bool = False) -> str:
    """Return a pattern of the keys of originals: exact for the layout of the site, and that of any key for others."""
    return _pattern(layout, (ORIGINAL,), is_folder=is_folder)


def file_pattern(layout: Layout, sizes: Sequence[str], *, is_folder: bool = False) -> str:
    """Return a pattern of the keys of originals and of derivatives at these sizes, as exact as `original_pattern`."""
    return _pattern(layout, (ORIGINAL, *sizes), is_folder=is_folder)


def _pattern(layout: Layout, names: Sequence[str], *, is_folder: bool) -> str:
    if not isinstance(layout, SiteLayout) or any(prefix[-1:] not in ("", "/") for prefix in layout.originals_prefixes):
        return PLAIN_KEY if is_folder else KEY
    prefixes = "|".join(re.escape(prefix).replace(r"\-", "-") for prefix in layout.originals_prefixes)
    segment, stem = (_PLAIN, f"(?:{_PLAIN})?") if is_folder else (_SEGMENT, f"{_ANY}*")
    name = rf"{stem}_(?:{'|'.join(names)})(?:\.[^./_{_CONTROL}]+)?"
    return rf"^(?:{prefixes})(?:{segment}/)*{name}$"
