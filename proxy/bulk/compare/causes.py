"""The causes of a difference between two derivatives, derived from measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pipeline.formats.registry import READABLE
from pipeline.protocol import Inspected, Refusal
from proxy.bulk.compare.findings import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.protocol import Similarity
    from proxy.bulk.compare.findings import Copy, Pair

TITLES: Final = {
    "old-missing": "Missing on the old side",
    "new-missing": "Missing on the new side",
    "old-unreadable": "Unreadable on the old side",
    "new-unreadable": "Unreadable on the new side",
    "old-leaks-gps": "GPS coordinates on the old side only",
    "new-leaks-gps": "GPS coordinates on the new side only",
    "another-picture": "Different picture",
    "not-compared": "Could not be compared",
    "rotated": "Rotated",
    "mirrored": "Mirrored",
    "looks-different": "Looks different",
    "old-profile-lost": "Colour profile lost on the old side",
    "new-profile-lost": "Colour profile lost on the new side",
    "colour": "Different colours",
    "dimensions": "Different dimensions",
    "old-blurred": "Blurred on the old side",
    "new-blurred": "Blurred on the new side",
    "alpha": "Different transparency",
    "content-type": "Different content type",
    "format": "Different file format",
    "old-leaks": "Metadata on the old side only",
    "new-leaks": "Metadata on the new side only",
    "orientation-tag": "Different orientation tag",
    "cache-control": "Different cache header",
    "bytes": "Very different file size",
    "one-pixel": "Dimensions differ by one pixel",
}
"""The titles of causes, by code."""

SideName = Literal["old", "new"]

_ANOTHER_PICTURE_BITS: Final = 20
"""Out of 64. More differing bits suggest another picture.

The same photograph differs in up to 10 bits after it was enlarged from 300 pixels and saved at quality 60. Two
different photographs differ in 9 to over 40 bits (60 photographs). Hashes of smooth pictures differ by chance, so the
score must be low too.
"""

_ANOTHER_PICTURE_SCORE: Final = 70.0

_NOTHING_ALIKE: Final = -200.0
"""SSIMULACRA2 below which it is another picture, whatever the hash, which can match by chance.

Derivatives enlarged from 300 pixels have at least -61 (800 derivatives of 200 originals); two different photographs
have at most -985 (6 pairs), and at 300 x 200 pixels at most -700 (8 pairs).
"""

_BLURRED: Final = 1.6
"""Ratio of fine detail between the sides, from which the side with less is blurred.

It is 0.86 to 1.3 between the kernels of all resizers, and 1.9 to 6.2 for derivatives enlarged from 300 pixels
(photographs at 800 and 2000 pixels).
"""

_NOBODY_SEES: Final = 88.0
"""SSIMULACRA2 above which a lack of detail is invisible."""

_SEEN_THROUGH: Final = 2.0
"""Mean difference in opacity that is tolerated, in levels of 255."""

_HEAVIER, _LIGHTER = 2.0, 0.02
"""Bounds of the ratio of new to old bytes: smaller files are intended, nearly empty ones are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """The tolerated difference of two pictures: lowest SSIMULACRA2, highest mean CIEDE2000."""

    score: float = 50.0
    colour: float = 3.0


def causes(pair: Pair, tolerance: Tolerance) -> tuple[Cause, ...]:
    """Return the causes why a derivative differs between the sides, worst first; empty if it does not differ."""
    return tuple(sorted(_causes(pair, tolerance), key=lambda cause: -cause.severity))


def _causes(pair: Pair, tolerance: Tolerance) -> Iterator[Cause]:
    if pair.trouble:
        yield Cause(code="not-compared", detail=pair.trouble, severity=92)
    if pair.old is None or pair.new is None:
        if not pair.trouble:
            side = "new" if pair.new is None else "old"
            yield Cause(code=f"{side}-missing", detail="no file under this key", severity=100 if side == "new" else 60)
        return
    yield from _headers(pair.old, pair.new)
    if pair.is_same_bytes:
        return
    yield from _unreadable(pair)
    old, new = pair.old.seen, pair.new.seen
    if isinstance(old, Inspected) and isinstance(new, Inspected):
        yield from _files(pair.old, pair.new, old, new)
        if pair.likeness:
            yield from _pictures(pair.likeness, old, new, tolerance)


def _headers(old: Copy, new: Copy) -> Iterator[Cause]:
    types = old.content_type, new.content_type
    is_right = [_is_type_right(copy) for copy in (old, new)]
    is_same_format = _format(old) == _format(new)
    if (types[0] != types[1] and is_same_format) or (is_right[0] is not is_right[1]):
        yield Cause(code="content-type", detail=f"changed from {types[0]} to {types[1]}", severity=65)
    # A file in a folder has a cache header only if a file store has stored one beside it.
    is_served = all(copy.has_headers or copy.cache_control is not None for copy in (old, new))
    if is_served and old.cache_control != new.cache_control:
        detail = f"changed from {old.cache_control or 'none'} to {new.cache_control or 'none'}"
        yield Cause(code="cache-control", detail=detail, severity=35)


def _is_type_right(copy: Copy) -> bool:
    """Return whether the content type matches the format of the bytes; True if the format is unknown."""
    name = _format(copy)
    return name is None or copy.content_type == READABLE[name].content_type


def _format(copy: Copy) -> str | None:
    return copy.seen.info.format if isinstance(copy.seen, Inspected) else None


def _unreadable(pair: Pair) -> Iterator[Cause]:
    for name, copy in (("old", pair.old), ("new", pair.new)):
        if copy and isinstance(copy.seen, Refusal):
            severity = 98 if name == "new" else 75
            why, _, _ = copy.seen.detail.partition(";")  # the rest is advice for uploaders
            yield Cause(code=f"{name}-unreadable", detail=f"{copy.seen.code}: {why.rstrip('.')}", severity=severity)


def _files(old_copy: Copy, new_copy: Copy, old: Inspected, new: Inspected) -> Iterator[Cause]:
    if old.info.format != new.info.format:
        yield Cause(code="format", detail=f"changed from {old.info.format} to {new.info.format}", severity=55)
    yield from _leaks("old", old, new, severity=45)
    yield from _leaks("new", new, old, severity=60)
    if old.info.orientation != new.info.orientation:
        detail = f"changed from {old.info.orientation} to {new.info.orientation}; some programs show it rotated"
        yield Cause(code="orientation-tag", detail=detail, severity=45)
    ratio = new_copy.bytes / max(1, old_copy.bytes)
    if not _LIGHTER <= ratio <= _HEAVIER:
        yield Cause(code="bytes", detail=f"changed from {old_copy.bytes:,} to {new_copy.bytes:,} bytes", severity=25)


def _leaks(side: SideName, one: Inspected, other: Inspected, *, severity: float) -> Iterator[Cause]:
    kinds = sorted(set(one.traces) - set(other.traces))
    if "gps" in kinds:
        yield Cause(code=f"{side}-leaks-gps", detail="contains GPS coordinates", severity=severity + 35)
    if others := [kind for kind in kinds if kind != "gps"]:
        yield Cause(code=f"{side}-leaks", detail=f"contains {', '.join(others)}", severity=severity)


def _pictures(likeness: Similarity, old: Inspected, new: Inspected, tolerance: Tolerance) -> Iterator[Cause]:
    if likeness.turn:
        code = "mirrored" if likeness.turn.startswith("mirrored") else "rotated"
        yield Cause(code=code, detail=likeness.turn.removeprefix(f"{code} "), severity=90)
    seen = [*_dimensions(likeness, old, new), *_colours(likeness, tolerance), *_sharpness(likeness)]
    yield from seen
    if _is_another_picture(likeness):  # with all other causes: those do not explain another picture
        detail = f"{likeness.hash_bits} of 64 bits of the hash differ, SSIMULACRA2 is {likeness.score or 0:.0f}"
        yield Cause(code="another-picture", detail=detail, severity=95)
    elif not [cause for cause in seen if cause.code != "one-pixel"]:
        yield from _looks(likeness, tolerance)


def _dimensions(likeness: Similarity, old: Inspected, new: Inspected) -> Iterator[Cause]:
    sides = new.info.width, new.info.height
    if "90" in likeness.turn or "270" in likeness.turn:
        sides = sides[::-1]
    off = max(abs(old.info.width - sides[0]), abs(old.info.height - sides[1]))
    if not off:
        return
    detail = f"changed from {old.info.width} x {old.info.height} to {new.info.width} x {new.info.height} pixels"
    yield (
        Cause(code="one-pixel", detail=detail, severity=10)
        if off == 1
        else Cause(code="dimensions", detail=detail, severity=70)
    )


def _colours(likeness: Similarity, tolerance: Tolerance) -> Iterator[Cause]:
    shift = f"mean CIEDE2000 is {likeness.colour:.1f}"
    if likeness.profile:
        detail = f"{shift}, under half of that if the pixels are read with the other side's profile or Display P3"
        yield Cause(code=f"{likeness.profile}-profile-lost", detail=detail, severity=min(80, 50 + 5 * likeness.colour))
    elif likeness.colour > tolerance.colour:
        yield Cause(code="colour", detail=shift, severity=min(88, 40 + 5 * likeness.colour))
    if likeness.alpha > _SEEN_THROUGH:
        detail = f"opacity differs by {likeness.alpha:.0f} of 255 levels on average"
        yield Cause(code="alpha", detail=detail, severity=68)


def _sharpness(likeness: Similarity) -> Iterator[Cause]:
    times = max(likeness.detail, 1 / likeness.detail)
    if times < _BLURRED or (likeness.score or 0) > _NOBODY_SEES:
        return
    side, severity = ("old", 20) if likeness.detail > 1 else ("new", 60)
    detail = f"the other side has {times:.1f} times the fine detail"
    yield Cause(code=f"{side}-blurred", detail=detail, severity=severity + min(25, 4 * times))


def _is_another_picture(likeness: Similarity) -> bool:
    score = likeness.score or 0
    is_by_hash = likeness.hash_bits > _ANOTHER_PICTURE_BITS and score < _ANOTHER_PICTURE_SCORE
    return is_by_hash or score < _NOTHING_ALIKE


def _looks(likeness: Similarity, tolerance: Tolerance) -> Iterator[Cause]:
    if likeness.score is not None and likeness.score < tolerance.score:
        severity = min(90.0, max(40.0, 90 - likeness.score))
        yield Cause(code="looks-different", detail=f"SSIMULACRA2 is {likeness.score:.0f}", severity=severity)
