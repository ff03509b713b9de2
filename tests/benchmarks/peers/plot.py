"""Small charts as SVG: points with their names, and bars."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH, HEIGHT, MARGIN = 640, 360, 60
LABEL_WIDTH, BAR_HEIGHT, LINE_HEIGHT = 190, 26, 16
OURS: Final = "#b3261e"
OTHERS: Final = "#5f6b7a"


def points(values: Mapping[str, tuple[float, float]], *, across: str, up: str) -> str:
    """Return a scatter chart from zero; points whose names begin with `ours` are emphasised."""
    most_x, most_y = (1.15 * max(pair[axis] for pair in values.values()) for axis in (0, 1))
    wide, high = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
    drawn = [
        f'<path d="M{MARGIN} {MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" fill="none" stroke="#999"/>',
        _text(WIDTH / 2, HEIGHT - 15, across, anchor="middle"),
        _text(12, MARGIN - 20, up),
        _text(WIDTH - MARGIN, HEIGHT - MARGIN + 18, _number(most_x), anchor="end"),
        _text(MARGIN - 6, MARGIN + 4, _number(most_y), anchor="end"),
        _text(MARGIN - 6, HEIGHT - MARGIN + 18, "0", anchor="end"),
    ]
    placed = {
        name: (MARGIN + x / most_x * wide, HEIGHT - MARGIN - y / most_y * high) for name, (x, y) in values.items()
    }
    for name, (left, top) in placed.items():
        covers = any(0 < x - left < LABEL_WIDTH and abs(y - top) < LINE_HEIGHT for x, y in placed.values())
        name_left, anchor = (left - 8, "end") if covers else (left + 8, "start")
        drawn.append(f'<circle cx="{left:.0f}" cy="{top:.0f}" r="5" fill="{_colour(name)}"/>')
        drawn.append(_text(name_left, top + 4, name, anchor=anchor, colour=_colour(name)))
    return _svg(drawn, HEIGHT)


def bars(values: Mapping[str, float], *, unit: str) -> str:
    """Return horizontal bars, the shortest first; those whose names begin with `ours` are emphasised."""
    most = max(values.values())
    drawn = []
    for row, (name, value) in enumerate(sorted(values.items(), key=lambda pair: pair[1])):
        top, wide = 10 + row * BAR_HEIGHT, value / most * (WIDTH - LABEL_WIDTH - 90)
        drawn.append(_text(LABEL_WIDTH - 8, top + 14, name, anchor="end", colour=_colour(name)))
        drawn.append(f'<rect x="{LABEL_WIDTH}" y="{top}" width="{wide:.0f}" height="18" fill="{_colour(name)}"/>')
        drawn.append(_text(LABEL_WIDTH + wide + 6, top + 14, f"{value:.0f} {unit}"))
    return _svg(drawn, 20 + len(values) * BAR_HEIGHT)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _colour(name: str) -> str:
    return OURS if name.startswith("ours") else OTHERS


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#333") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _svg(drawn: list[str], height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"'
    background = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    return "\n".join([f'{head} font-size="13">', background, *drawn, "</svg>", ""])
