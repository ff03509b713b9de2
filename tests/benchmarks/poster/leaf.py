"""Paints a macro photograph of an oak leaf with galls, for the picture of the README."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pyvips

from loadtest.paint import CAMERA, GPS

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEIGHT = 4000, 3000
_NOISE = 5.0
"""Sigma of the noise of the camera, in levels."""

_SPOTS = ("#87a55a", "#5d7f4c", "#c9cf8a", "#e2d9a0", "#4c6a4a", "#9db77b", "#d8e0b8")
_GALLS = ((2150, 1330, 430), (1430, 1830, 300), (2830, 1010, 235), (2560, 1900, 190), (900, 2120, 150))
"""Galls: x, y and radius in pixels, from the largest on."""


def paint_leaf(path: Path) -> None:
    """Write the photograph as a JPEG of 12 megapixels, with a camera, its owner and a position in the metadata."""
    leaf = _drawn(_leaf())
    picture = _background().composite2(_shadow(leaf), "over").composite2(leaf, "over").flatten()
    noise = pyvips.Image.gaussnoise(WIDTH, HEIGHT, mean=0, sigma=_NOISE, seed=7)
    photograph = (picture + noise).cast("uchar").copy(interpretation="srgb")
    for name, value in (CAMERA | GPS).items():
        photograph.set_type(pyvips.GValue.gstr_type, name, value)
    photograph.write_to_file(str(path), Q=92)


def _drawn(shapes: str, *, scale: float = 1.0) -> pyvips.Image:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">{shapes}</svg>'
    return pyvips.Image.svgload_buffer(svg.encode(), scale=scale).copy(interpretation="srgb")


def _background() -> pyvips.Image:
    """Return a meadow that is out of focus."""
    chance = random.Random(3)  # noqa: S311 - a painting, not a secret
    spots = "".join(
        _spot(chance.uniform(0, WIDTH), chance.uniform(0, HEIGHT), chance.uniform(140, 430), chance) for _ in range(70)
    )
    sky = (
        '<defs><linearGradient id="s" x1="0" y1="0" x2="0.5" y2="1"><stop offset="0" stop-color="#b9c987"/>'
        '<stop offset="0.5" stop-color="#6f8f57"/><stop offset="1" stop-color="#31503a"/></linearGradient></defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="url(#s)"/>'
    )
    blurred = _drawn(sky + spots, scale=0.1).gaussblur(9)
    return blurred.resize(10, kernel="cubic").crop(0, 0, WIDTH, HEIGHT)


def _spot(x: float, y: float, radius: float, chance: random.Random) -> str:
    colour, opacity = chance.choice(_SPOTS), chance.uniform(0.25, 0.7)
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}" fill="{colour}" opacity="{opacity:.2f}"/>'


def _shadow(shape: pyvips.Image) -> pyvips.Image:
    alpha = shape[3].resize(0.1).gaussblur(7).resize(10, kernel="cubic").crop(0, 0, WIDTH, HEIGHT)
    moved = alpha.embed(50, 110, WIDTH, HEIGHT)
    return (moved * 0).bandjoin([moved * 0, moved * 0, moved * 0.45]).cast("uchar").copy(interpretation="srgb")


def _leaf() -> str:
    """Return an oak leaf with its veins and galls as SVG."""
    colours = "".join(_gall_colours(number) for number in range(len(_GALLS)))
    leaf = (
        '<linearGradient id="leaf" x1="0" y1="0.2" x2="1" y2="0.9"><stop offset="0" stop-color="#a9c25a"/>'
        '<stop offset="0.45" stop-color="#6f9a3c"/><stop offset="1" stop-color="#3c6b2c"/></linearGradient>'
    )
    outline = _outline()
    galls = "".join(_gall(number, *gall) for number, gall in enumerate(_GALLS))
    return (
        f'<defs>{leaf}{colours}</defs><path d="{outline}" fill="url(#leaf)" stroke="#88a84c" stroke-width="9"/>'
        f"{_veins()}{galls}"
    )


def _spine(along: float) -> tuple[float, float]:
    """Return the point of the middle vein at a part of its length."""
    return 230 + 3540 * along, 2420 - 1750 * along + 330 * math.sin(math.pi * along)


def _half_width(along: float) -> float:
    """Return how wide the leaf is there, with the lobes of an oak."""
    oval = math.pow(math.sin(math.pi * min(1.0, along * 1.03)), 0.75)
    return 900 * oval * (0.78 + 0.22 * math.cos(along * 10 * math.pi))


def _side(along: float, side: int) -> tuple[float, float]:
    (x, y), (fore_x, fore_y) = _spine(along), _spine(along + 0.01)
    angle = math.atan2(fore_y - y, fore_x - x) + side * math.pi / 2
    return x + _half_width(along) * math.cos(angle), y + _half_width(along) * math.sin(angle)


def _outline() -> str:
    steps = [number / 240 for number in range(3, 236)]
    points = [_side(along, -1) for along in steps] + [_side(along, 1) for along in reversed(steps)]
    return "M" + " L".join(f"{x:.0f},{y:.0f}" for x, y in points) + "Z"


def _veins() -> str:
    middle = " ".join("{:.0f},{:.0f}".format(*_spine(number / 60)) for number in range(-4, 59))
    drawn = [f'<polyline points="{middle}" fill="none" stroke="#c8d58a" stroke-width="26" stroke-linecap="round"/>']
    for lobe in range(1, 20):
        along = lobe / 20
        wide = 12 if lobe % 2 == 0 else 5
        (x, y) = _spine(along - 0.06)
        for side in (-1, 1):
            end_x, end_y = _side(min(along + 0.03, 0.97), side)
            tip_x, tip_y = x + 0.86 * (end_x - x), y + 0.86 * (end_y - y)
            drawn.append(
                f'<path d="M{x:.0f},{y:.0f} Q{(x + tip_x) / 2 + 50:.0f},{(y + tip_y) / 2:.0f} {tip_x:.0f},{tip_y:.0f}"'
                f' fill="none" stroke="#bccb7c" stroke-width="{wide}" opacity="0.8" stroke-linecap="round"/>'
            )
    return "".join(drawn)


def _gall_colours(number: int) -> str:
    return (
        f'<radialGradient id="g{number}" cx="0.38" cy="0.3" r="0.75"><stop offset="0" stop-color="#ffe9b0"/>'
        '<stop offset="0.28" stop-color="#f0a657"/><stop offset="0.62" stop-color="#c4492f"/>'
        '<stop offset="1" stop-color="#5c1a1c"/></radialGradient>'
    )


def _gall(number: int, x: int, y: int, radius: int) -> str:
    chance = random.Random(number)  # noqa: S311 - a painting, not a secret
    drawn = [
        (
            f'<ellipse cx="{x + radius * 0.22:.0f}" cy="{y + radius * 0.34:.0f}" rx="{radius * 1.06:.0f}"'
            f' ry="{radius * 0.94:.0f}" fill="#16290f" opacity="0.38"/>'
        ),
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="url(#g{number})"/>',
    ]
    for _ in range(150):
        angle, far = chance.uniform(0, 2 * math.pi), radius * 0.93 * math.sqrt(chance.random())
        drawn.append(
            f'<circle cx="{x + far * math.cos(angle):.0f}" cy="{y + far * math.sin(angle):.0f}"'
            f' r="{radius * chance.uniform(0.008, 0.03):.1f}" fill="{chance.choice(("#fff0c9", "#7d2319"))}"'
            f' opacity="{chance.uniform(0.12, 0.5):.2f}"/>'
        )
    drawn.append(
        f'<ellipse cx="{x - radius * 0.34:.0f}" cy="{y - radius * 0.42:.0f}" rx="{radius * 0.2:.0f}"'
        f' ry="{radius * 0.12:.0f}" fill="#fffdf2" opacity="0.75" transform="rotate(-35 {x - radius * 0.34:.0f}'
        f' {y - radius * 0.42:.0f})"/>'
    )
    return "".join(drawn)
