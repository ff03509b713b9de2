"""The key of an original that is uploaded on the pages."""

from __future__ import annotations

import re
import secrets
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.formats.registry import READABLE
from proxy.errors import BadKey
from proxy.keys.layouts import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

MOST_CHARACTERS: Final = 40
"""Of the name of a file, for a key that people can read."""

FOLDER: Final = "uploads"

_EXTENSION: Final = re.compile(r"\.[a-z0-9]{2,5}")
_OTHER: Final = re.compile(r"[^a-z0-9]+")


def new_key(
    name: str, *, folder: str, prefix: str, today: date, check: Callable[[str], None], random: str | None = None
) -> str:
    """Return a key for a file that a person calls `name`, in a folder that they chose or in one of today.

    `check` raises `BadKey` for what is no original's key: some layouts want `_original` in it. `prefix` is that of all
    originals.

    Raises:
        BadKey: no key is valid, as the folder is not.
    """
    file = PurePosixPath(name.replace("\\", "/").rpartition("/")[2].lower())
    extension = file.suffix if _EXTENSION.fullmatch(file.suffix) else ""
    stem = _OTHER.sub("-", file.stem.removesuffix(f"_{ORIGINAL}"))[:MOST_CHARACTERS].strip("-") or "photo"
    chosen = folder.strip("/ ") or f"{FOLDER}/{today.isoformat()}"
    above = chosen if f"{chosen}/".startswith(prefix) else f"{prefix.rstrip('/')}/{chosen}".lstrip("/")
    plain = f"{above}/{stem}-{random or secrets.token_hex(3)}"
    first = f"{plain}_{ORIGINAL}{extension}"
    try:
        check(first)
    except BadKey:
        check(f"{plain}{extension}")
        return f"{plain}{extension}"
    return first


def accepted() -> str:
    """Return the formats of originals, as the input for files has them."""
    return ",".join(sorted({one.content_type for one in READABLE.values()}))
