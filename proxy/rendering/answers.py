"""Checks of the answers of a child, which an original may have taken over: values from lists, numbers in range."""

from __future__ import annotations

import binascii
import math
import os
import re
import stat
from base64 import b64decode, b64encode
from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from pipeline.facts_model import CONTROL, MOST_CHARACTERS, RANGES, TIME, YEARS
from pipeline.formats.registry import HEAD_BYTES, READABLE, WRITABLE, content_type_of
from pipeline.protocol import LQIP_CHARACTERS, LQIP_PREFIX, Inspected, Refusal
from proxy.errors import ProcessDied
from proxy.rendering.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.facts_model import Camera, Exposure, Facts, Lens, Place
    from pipeline.protocol import Compared, ImageInfo, Limits, Preview, Similarity

MOST_BYTES = 1 << 50
"""More memory than any machine has."""

_MOST_BANDS = 1 << 16
_MOST_BITS = 64
_ORIENTATIONS = 8
_HASH_BITS = 64
_COLOR = re.compile(r"#[0-9a-f]{6}")
_THUMBHASH_BYTES = range(5, 26)
"""The length of a ThumbHash: 24 bytes at most without alpha, 25 with it."""

_MOST = 1e9
"""More than any measurement of two pictures; a score is below 0 for pictures that have nothing in common."""

Trace = Literal["camera", "comment", "gps", "iptc", "owner", "photoshop", "thumbnail", "xmp"]
"""The kinds of metadata in a file; see `pipeline.compare.metadata_leaks`."""

Turn = Literal[
    "",
    "rotated by 90 degrees",
    "rotated by 180 degrees",
    "rotated by 270 degrees",
    "mirrored left to right",
    "mirrored top to bottom",
    "mirrored and rotated by 90 degrees",
    "mirrored and rotated by 270 degrees",
]
"""How one picture may be turned relative to another; see `pipeline.compare.similarity`."""

MOST_SIDE = 100_000_000
"""Pixels: the decoder's limit (`VIPS_MAX_COORD`)."""

_CONTROL = re.compile(CONTROL)
_TIME = re.compile(TIME)

COPIES = ("old", "new", "difference")
_COPY_BYTES = 1 << 20
"""The largest small copy of a compared picture; they are about 20 KB."""


def check_info(info: ImageInfo, limits: Limits) -> None:
    """Raise an error if the properties of an original cannot be those of any original that was accepted.

    Raises:
        ProcessDied: they cannot.
    """
    in_range = (
        info.format in READABLE,
        info.width >= 1,
        info.height >= 1,
        info.width * info.height <= limits.pixels,
        1 <= info.frames <= limits.frames,
        1 <= info.bands <= _MOST_BANDS,
        1 <= info.bits <= _MOST_BITS,
        1 <= info.orientation <= _ORIENTATIONS,
        0 <= info.render_bytes <= MOST_BYTES,
    )
    if not all(in_range):
        raise _invalid()


def is_preview(preview: Preview) -> bool:
    """Return whether the dominant colour and the placeholders can be those of any picture."""
    lqip, thumbhash = _decoded(preview.lqip.removeprefix(LQIP_PREFIX)), _decoded(preview.thumbhash)
    return all(
        (
            _COLOR.fullmatch(preview.color),
            preview.lqip.startswith(LQIP_PREFIX),
            len(preview.lqip) <= LQIP_CHARACTERS,
            content_type_of(lqip) == WRITABLE["webp"].content_type,
            len(thumbhash) in _THUMBHASH_BYTES,
        )
    )


def check_preview(preview: Preview | None, *, is_base: bool) -> None:
    """Raise an error unless the derivative of the base size has a valid preview, and any other has none.

    Raises:
        ProcessDied: it is not so.
    """
    if (preview is not None) != is_base or (preview and not is_preview(preview)):
        raise _invalid()


def checked_comparison(compared: Compared, limits: Limits) -> Compared:
    """Return the outcome of a comparison, with the sentences of the service.

    Raises:
        ProcessDied: a value cannot be the outcome of any comparison.
    """
    if compared.likeness:
        _check_similarity(compared.likeness)
    if any(name not in COPIES or file != f"{name}.webp" for name, file in compared.pictures.items()):
        raise _invalid()
    old, new = (_checked_side(side, limits) for side in (compared.old, compared.new))
    return msgspec.structs.replace(compared, old=old, new=new)


def check_copies(compared: Compared, folder: Path) -> None:
    """Raise an error if a small copy in `folder` is no small plain WebP; the child must have ended.

    Raises:
        ProcessDied: it is not.
    """
    for file in compared.pictures.values():
        try:
            copy = os.open(folder / file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            raise _invalid() from None
        try:
            status, head = os.fstat(copy), os.pread(copy, HEAD_BYTES, 0)
        except OSError:  # a folder
            raise _invalid() from None
        finally:
            os.close(copy)
        is_plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size <= _COPY_BYTES
        if not is_plain or content_type_of(head) != WRITABLE["webp"].content_type:
            raise _invalid()


def check_facts(facts: Facts) -> None:
    """Raise an error if the facts cannot be those of any original.

    Raises:
        ProcessDied: they cannot.
    """
    sides, texts = (facts.width, facts.height), (facts.creator, facts.copyright, facts.licence, facts.caption)
    in_range = (
        facts.format in READABLE,
        all(1 <= side <= MOST_SIDE for side in sides),
        all(map(_is_text, texts, ("creator", "copyright", "licence", "caption"))),
        facts.taken_at is None or _is_time(facts.taken_at),
        _is_device(facts.camera),
        _is_device(facts.lens),
        facts.exposure is None or _are_numbers(facts.exposure),
        facts.place is None or (_are_numbers(facts.place) and (facts.place.latitude or facts.place.longitude)),
        all(getattr(facts, name) is not None and len({*doubts}) for name, doubts in facts.uncertain.items()),
        all(len({*doubts}) == len(doubts) for doubts in facts.uncertain.values()),
    )
    if not all(in_range):
        raise _invalid()


def _is_text(text: str | None, field: str) -> bool:
    if text is None:
        return True
    shown = text.replace("\n", "") if field == "caption" else text
    is_plain = "\n" not in shown and not _CONTROL.search(shown)
    return is_plain and bool(shown.strip()) and len(text) <= MOST_CHARACTERS[field]


def _is_device(device: Camera | Lens | None) -> bool:
    return device is None or (_is_text(device.make, "make") and _is_text(device.model, "model"))


def _are_numbers(numbers: Exposure | Place) -> bool:
    fields = msgspec.structs.asdict(numbers).items()
    return all(
        math.isfinite(value) and RANGES[name][0] <= value <= RANGES[name][1]
        for name, value in fields
        if value is not None and name in RANGES
    )


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if found is None or not YEARS[0] <= int(found["year"]) <= YEARS[1]:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _decoded(text: str) -> bytes:
    """Return the bytes in base64, none if it is not valid, or not in the one form that encodes them."""
    try:
        decoded = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return decoded if b64encode(decoded).decode() == text else b""


def _checked_side(side: Inspected | Refusal | None, limits: Limits) -> Inspected | Refusal | None:
    if isinstance(side, Refusal):
        return msgspec.structs.replace(side, detail=str(refused(side)), cause="")
    if side:
        check_info(side.info, limits)
        if not set(side.traces) <= {*get_args(Trace)}:
            raise _invalid()
    return side


def _check_similarity(likeness: Similarity) -> None:
    numbers: Iterator[float] = (
        number
        for number in (likeness.score, likeness.colour, likeness.alpha, likeness.detail, likeness.hash_bits)
        if number is not None
    )
    in_range = (
        likeness.turn in get_args(Turn),
        all(math.isfinite(number) and abs(number) <= _MOST for number in numbers),
        0 <= likeness.hash_bits <= _HASH_BITS,
        min(likeness.colour, likeness.alpha) >= 0,
        likeness.detail > 0,
    )
    if not all(in_range):
        raise _invalid()


def _invalid() -> ProcessDied:
    return ProcessDied("The render process sent an answer with values that are out of range.")
