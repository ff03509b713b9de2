"""Refusals of a child as our errors: their codes and sentences are ours, whatever the child sends."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, get_args

from pipeline import sentences
from pipeline.errors import (
    BY_CODE,
    Corrupt,
    NeedsTooMuchMemory,
    NotAnImage,
    Refused,
    TooLarge,
    TooManyFrames,
    TooManyPixels,
    Unreadable,
    UnsupportedFormat,
)  # fmt: skip
from pipeline.formats.registry import READABLE, READABLE_TITLES, RECOGNISED
from proxy.errors import ProcessDied

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.protocol import Refusal

CAUSE_CHARACTERS = 1000
"""The part of a decoder's own message that is logged; the log escapes what cannot be printed."""

_GENERAL: dict[type[Refused], str] = {
    Refused: "The image cannot be rendered; export it again, or upload another one.",
    Unreadable: "The file cannot be read as an image; export it again, or upload another one.",
    NotAnImage: sentences.UNKNOWN_FORMAT.format(titles=READABLE_TITLES),
    UnsupportedFormat: sentences.UNSUPPORTED_FEATURE,
    Corrupt: sentences.DAMAGED,
    TooLarge: "The image is too large; upload a smaller one.",
    TooManyPixels: "The image has too many pixels; upload a smaller one.",
    TooManyFrames: "The file has too many frames or pages; upload one with fewer.",
    NeedsTooMuchMemory: "Rendering this image needs too much memory; upload a smaller one.",
}
"""What callers get if the sentence of a child is not one of ours."""


def _one_of(words: Iterable[str]) -> str:
    return f"({'|'.join(map(re.escape, sorted(words)))})"


_NUMBER = r"[0-9]{1,10}([.][0-9]{1,3})?(e[+-]?[0-9]{1,2})?"

_VALUES = {
    "number": _NUMBER,
    "limit": _NUMBER,
    "reason": _one_of(get_args(sentences.DamageReason)),
    "titles": re.escape(READABLE_TITLES),
    "title": _one_of(readable.title for readable in READABLE.values()),
    "type": _one_of(RECOGNISED),
    "sample": _one_of({"char", "short", "uint", "int", "float", "complex", "double", "dpcomplex", "notset"}),
    "kind": "'[A-Za-z0-9 ]{4}'",
}
"""The values that a sentence may have, as patterns."""


def _pattern(sentence: str) -> str:
    parts = string.Formatter().parse(sentence)
    return "".join(re.escape(text) + (_VALUES[name] if name else "") for text, name, _, _ in parts)


_OURS = re.compile("|".join(map(_pattern, sentences.ALL)))


def refused(refusal: Refusal) -> Refused:
    """Return the error of a refusal.

    Raises:
        ProcessDied: the code is none of ours.
    """
    kind = BY_CODE.get(refusal.code)
    if kind is None:
        raise ProcessDied("The render process sent an invalid refusal.")
    detail = refusal.detail if _OURS.fullmatch(refusal.detail) else _GENERAL[kind]
    return kind(detail, cause=refusal.cause[:CAUSE_CHARACTERS])
