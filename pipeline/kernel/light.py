"""The tables between sRGB and linear light, by whole numbers alone: the same on every machine."""

from __future__ import annotations

from itertools import pairwise

WHITE = 20_000
"""The light of white.

16 bits leave room up to 1.638 times white, and the darkest levels are still six units apart.
"""

ALL_LIGHTS = range(-32_768, 32_768)
"""The values of light: a weighted sum may be below black, or above white."""

_HALF_LEVELS = 510
"""Half levels of sRGB up to white, which is level 255."""


def light_of_levels() -> list[int]:
    """Return the light of each level of sRGB, 0 to 255, rounded to the nearest number."""
    return [(_light(2 * WHITE, 2 * level) + 1) // 2 for level in range(256)]


def levels_of_light() -> bytes:
    """Return the nearest level of sRGB for each of `ALL_LIGHTS`: 0 below black, 255 above white.

    A level begins at the light of the half level below it. That is never a whole number: up to
    0.04045 it is 50,000 * halves / 16,473 for less than 21 halves. Above, its fifth power would
    have to be whole, but a fraction of the denominator 10,761 is whole for white alone.
    """
    begins = [_light(WHITE, 2 * level - 1) + 1 for level in range(1, 256)]
    bounds = pairwise([ALL_LIGHTS.start, *begins, ALL_LIGHTS.stop])
    return b"".join(bytes([level]) * (end - start) for level, (start, end) in enumerate(bounds))


def _light(scale: int, halves: int) -> int:
    """Return the linear light of a half level of sRGB, rounded down, where `scale` is white.

    By the formula of IEC 61966-2-1, light is the value divided by 12.92 up to 0.04045. Above, it is
    ((value + 0.055) / 1.055) ** 2.4, so its fifth power is a fraction of whole numbers. Rounding
    that fraction down does not change its root, rounded down.
    """
    if halves * 100_000 <= 4045 * _HALF_LEVELS:
        return scale * halves * 100 // (_HALF_LEVELS * 1292)
    above, below = halves * 1000 + 55 * _HALF_LEVELS, 1055 * _HALF_LEVELS
    return _fifth_root(scale**5 * above**12 // below**12)


def _fifth_root(power: int) -> int:
    """Return the fifth root, rounded down, by bisection."""
    low, high = 0, 1 << (power.bit_length() // 5 + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**5 <= power else (low, middle)
    return low
