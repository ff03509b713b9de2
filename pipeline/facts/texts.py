"""Texts of metadata: decoded, without control characters, bounded, and None for placeholders."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from pipeline.facts_model import CONTROL, MOST_CHARACTERS, Doubt

WESTERN, UTF_16_BE, UTF_16_LE = "cp1252", "utf-16-be", "utf-16-le"

for _encoding in (WESTERN, UTF_16_BE, UTF_16_LE):
    codecs.lookup(_encoding)  # a confined process can import nothing any more

_CONTROL = re.compile(CONTROL)
_SPACES = re.compile(r"[ \t\xa0]+")
_MOST_BYTES = 1 << 16
_LONGEST_OF_THE_MAKER = 80
"""Characters; longer captions are a person's, and patterns would take long over them."""

_NOTHING = frozenset(
    {
        "", "-", "--", "---", "0", "?", "(none)", "(null)", "<none>", "n/a", "na", "nil", "none", "null", "undefined",
        "unknown", "unspecified", "untitled", "default", "not available", "manufacturer", "camera", "digital camera",
        "user", "owner", "author", "your name", "image", "picture", "jpeg", "test", "string", "ascii",
    }
)  # fmt: skip
"""Placeholders that programs write, in lower case."""

_OF_THE_MAKER = re.compile(
    r"((minolta|samsung|kodak|olympus|sony|konica|casio|ricoh|sanyo|pentax|fujifilm|hp)[a-z ]*)?digital (still )?camera"
    r"|sony dsc|samsung|exif[_ ]jpe?g([_ ]picture)?|lead technologies.*|screenshot|hdrpl|dig\w* ?cam\w*"
    r"|(dcim|[a-z]:)[\\/].*|[a-z_]{0,8}[0-9_-]{3,20}[.](jpe?g|heic|png|tiff?|dng)|cof|sdr|ptr|rhdr|oznor\w*|dav|mde"
    r"|(oplus|hdrplus|fbt|ydr|rpt)_[0-9a-z_]*",
    re.IGNORECASE,
)
"""Captions that cameras and phones write by themselves."""


class Text(NamedTuple):
    """A text and why it may be wrong."""

    value: str
    doubts: tuple[Doubt, ...] = ()


def decoded(raw: bytes, *, encoding: str = "") -> Text:
    """Return bytes as a text: in `encoding` if it is known, else as UTF-8, else as Western European, which is a guess.

    The text ends with its first zero character.
    """
    raw = raw[:_MOST_BYTES]
    if encoding:
        return Text(raw.decode(encoding, errors="replace").split("\0")[0])
    raw = raw.split(b"\0")[0]
    try:
        return Text(raw.decode())
    except UnicodeDecodeError:
        return Text(raw.decode(WESTERN, errors="replace"), ("encoding",))


def published(text: Text | None, field: str) -> Text | None:
    """Return a text as it is published in `field`, or None if it is empty or a placeholder."""
    if text is None:
        return None
    plain = text.value.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    lines = (_SPACES.sub(" ", line).strip() for line in _CONTROL.sub("", plain).split("\n"))
    shown = "\n".join(lines).strip()
    if field != "caption":
        shown = shown.replace("\n", " ")
    if _is_nothing(shown, field):
        return None
    most = MOST_CHARACTERS[field]
    if len(shown) > most:
        return Text(shown[:most].strip(), (*text.doubts, "cut"))
    return Text(shown, text.doubts)


def _is_nothing(shown: str, field: str) -> bool:
    plain = shown.strip(" .*_#\ufffd").lower()
    return (
        plain in _NOTHING
        or not any(character.isalnum() for character in plain)
        or (field == "caption" and _is_of_the_maker(plain))
    )


def _is_of_the_maker(plain: str) -> bool:
    return len(plain) <= _LONGEST_OF_THE_MAKER and _OF_THE_MAKER.fullmatch(plain) is not None
