"""The key of an original that is uploaded on the pages."""

from __future__ import annotations

import re
import secrets
import unicodedata
from typing import TYPE_CHECKING, Final

from pipeline.formats.registry import READABLE
from proxy.errors import BadKey
from proxy.keys.layouts import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

MOST_CHARACTERS, MOST_BYTES = 40, 120
"""Of the name of a file, for a key that people can read, and whose derivatives fit the 255 bytes of a file system."""

UNNAMED: Final = "photo"
"""The name of a file in whose own name no letter and no digit is visible."""

FOLDER: Final = "uploads"

_EXTENSION: Final = re.compile(r"[a-z0-9]{2,5}")

_LETTERS: Final = frozenset({"Ll", "Lm", "Lo", "Lt", "Lu", "Nd", "Nl", "No"})
"""Letters and digits of all scripts; no symbols, as some emoji are several invisible characters."""

_MARKS: Final = frozenset({"Mc", "Mn"})
"""Marks of letters, such as the vowels of some scripts."""

_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Fillers and variation selectors, which Unicode counts as letters and marks."""


def new_key(
    name: str, *, folder: str, prefix: str, today: date, check: Callable[[str], None], random: str | None = None
) -> str:
    """Return a key for a file that a person calls `name`, in a folder that they chose or in one of today.

    `check` raises `BadKey` for what is no original's key: some layouts want `_original` in it. `prefix` is that of all
    originals.

    Raises:
        BadKey: no key is valid, as the folder is not.
    """
    file = name.replace("\\", "/").rpartition("/")[2].lower()
    stem, dot, ending = file.rpartition(".")
    if not dot:
        stem, ending = file, ""
    extension = f".{ending}" if _EXTENSION.fullmatch(ending) else ""
    stem = _readable(stem.removesuffix(f"_{ORIGINAL}")) or UNNAMED
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


def _readable(name: str) -> str:
    """Return the beginning of a name with `-` for everything but letters and digits."""
    readable = ""
    for one in _INVISIBLE.sub("", unicodedata.normalize("NFKC", name)):
        category = unicodedata.category(one)
        if category in _LETTERS or (category in _MARKS and readable[-1:] not in ("", "-")):
            readable += one
        elif not readable.endswith("-"):
            readable += "-"
    short = readable.strip("-")[:MOST_CHARACTERS]
    return short.encode()[:MOST_BYTES].decode(errors="ignore").strip("-")


def accepted() -> str:
    """Return the formats of originals, as the input for files has them."""
    return ",".join(sorted({one.content_type for one in READABLE.values()}))
