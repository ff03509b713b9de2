"""The tables between sRGB and linear light, by whole numbers alone: every machine computes the same ones."""

from __future__ import annotations

from bisect import bisect_right

LIGHT = 20_000
"""The light of white. A weighed sum may exceed it by half, and still has 16 bits."""

LIGHTS = range(-32_768, 32_768)
"""The values of light: a weighed sum may be below black, or above white."""

_HALVES = 510
"""Half levels of sRGB up to white."""


def light_of_levels() -> list[int]:
    """Return the light of each level of sRGB, 0 to 255, rounded to the nearest number."""
    return [(_light(2 * LIGHT, 2 * level) + 1) // 2 for level in range(256)]


def levels_of_light() -> bytes:
    """Return the nearest level of sRGB for each of `LIGHTS`; less than black is black, and more than white is white.

    A level begins at the light of the half level below it, which is never a whole number.
    """
    begins = [_light(LIGHT, 2 * level - 1) + 1 for level in range(1, 256)]
    return bytes(bisect_right(begins, light) for light in LIGHTS)


def _light(white: int, halves: int) -> int:
    """Return the linear light of a half level of sRGB, rounded down, by the formula of IEC 61966-2-1.

    Up to 0.04045, it is the value divided by 12.92. Above, it is ((value + 0.055) / 1.055) ** 2.4, so its fifth power
    is a fraction of whole numbers.
    """
    if halves * 100_000 <= 4045 * _HALVES:
        return white * halves * 100 // (_HALVES * 1292)
    above, below = halves * 1000 + 55 * _HALVES, 1055 * _HALVES
    return _fifth_root(white**5 * above**12 // below**12)


def _fifth_root(power: int) -> int:
    """Return the fifth root, rounded down, by bisection."""
    low, high = 0, 1 << (power.bit_length() // 5 + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**5 <= power else (low, middle)
    return low
