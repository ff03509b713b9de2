"""Encoding at the dimensions of the original into no more bytes than the original has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.decode.memory_model import compresses_harder
from pipeline.formats.registry import MAX_PALETTE_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.decode.original import Original
    from pipeline.size import Size

_QUALITIES = (70, 60, 50, 40, 30, 20, 15, 10, 5, 1)
"""Qualities of JPEG and WebP below that of the size, the best first."""

_FEWER_LEVELS = (128, 32)
"""Levels of each sample of a PNG. With 128, no sample changes by more than one."""

_MOST_COMPRESSION = 9
ALL_LEVELS = 256


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoder's options, and the number of levels that each sample is reduced to before."""

    options: Mapping[str, int | float | str]
    levels: int = ALL_LEVELS


def fit(path: Path, original: Original, size: Size, own: Encoding, encode: Callable[[Encoding], None]) -> None:
    """Encode the derivative at `path` again until it has no more bytes than its original, which has the same format.

    It was encoded with `own`. What costs no quality is tried first, then the best of a few lower qualities is searched
    for. What is tried depends on the original and the size alone. If no quality suffices, the derivative is larger.
    """
    most = original.path.stat().st_size
    harder = _harder(original, size, own)
    for encoding in harder:
        if path.stat().st_size > most:
            encode(encoding)
    if path.stat().st_size > most:
        base = harder[-1] if harder and original.readable.name != "webp" else own
        encode_best(path, most, [*_lower(original, size, base), base], encode)


def encode_best(path: Path, most: int, encodings: Sequence[Encoding], encode: Callable[[Encoding], None]) -> None:
    """Encode with the first of `encodings` that takes at most `most` bytes, or with the last one, by bisection.

    All but the last must need fewer bytes than the one before.
    """
    low, high, last = 0, len(encodings) - 1, -1
    while low < high:
        last = (low + high) // 2
        encode(encodings[last])
        low, high = (low, last) if path.stat().st_size <= most else (last + 1, high)
    if low != last:
        encode(encodings[low])


def _harder(original: Original, size: Size, own: Encoding) -> list[Encoding]:
    """Return encodings with fewer bytes and no less quality, as far as memory and time allow."""
    width, height = original.sides
    if original.readable.name == "png":
        strongest = Encoding({**own.options, "compression": _MOST_COMPRESSION})
        return [strongest] if width * height <= MAX_PALETTE_PIXELS else []
    if not compresses_harder(original, size):
        return []
    if original.readable.name == "webp":
        return [Encoding({**own.options, "lossless": True})]
    return [Encoding({**own.options, "optimize_coding": True})]


def _lower(original: Original, size: Size, base: Encoding) -> list[Encoding]:
    """Return encodings with lower quality, the best first; a large PNG takes too long for more than one."""
    width, height = original.sides
    if original.readable.name == "png":
        levels = _FEWER_LEVELS if width * height <= MAX_PALETTE_PIXELS else _FEWER_LEVELS[:1]
        return [Encoding(base.options, one) for one in levels]
    return [Encoding({**base.options, "Q": quality}) for quality in _QUALITIES if quality < size.quality]
