"""Small plots, drawn here as SVG; the stylesheet gives them their colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 240, 56
EDGE: Final = 3
"""The room above and below the line."""


def plot(values: Sequence[float], *, label: str, most: float = 0.0) -> Markup:
    """Return the plot of a series, whose axis ends at `most` or at the greatest value; `label` describes it.

    Values that are not known leave a gap.
    """
    known = [value for value in values if math.isfinite(value)]
    top = max([most, *known]) or 1.0
    step = WIDTH / max(1, len(values) - 1)
    lines, line = [], []
    for number, value in enumerate(values):
        if math.isfinite(value):
            line.append((round(number * step, 1), round(HEIGHT - EDGE - value / top * (HEIGHT - 2 * EDGE), 1)))
        elif line:
            lines.append(line)
            line = []
    lines.append(line)
    drawn = Markup("").join(_path(one) for one in lines if len(one) > 1)
    return _framed(drawn, label)


def bars(values: Sequence[float], *, label: str) -> Markup:
    """Return a bar for each value, in proportion to the greatest one."""
    top = max(values, default=0) or 1.0
    width = WIDTH / max(1, len(values))
    drawn = Markup("").join(
        Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            number * width + 1, HEIGHT - value / top * (HEIGHT - EDGE), width - 2, value / top * (HEIGHT - EDGE)
        )
        for number, value in enumerate(values)
        if value
    )
    return _framed(drawn, label)


def _framed(drawn: Markup, label: str) -> Markup:
    """Return a whole plot with its description."""
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>'
    ).format(WIDTH, HEIGHT, label, drawn)


def _path(points: Sequence[tuple[float, float]]) -> Markup:
    line = " ".join(f"{x},{y}" for x, y in points)
    area = f"{points[0][0]},{HEIGHT} {line} {points[-1][0]},{HEIGHT}"
    return Markup('<polygon class="area" points="{}"/><polyline class="line" points="{}"/>').format(area, line)
