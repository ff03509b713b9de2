"""The plots and their series."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from proxy import metrics
from proxy.ui.plots.history import KEPT, SERIES, History, Series
from proxy.ui.plots.svg import HEIGHT, WIDTH, bars, plot


def test_a_plot_spans_its_width_and_its_highest_value() -> None:
    drawn = ET.fromstring(plot([0, 5, 10], label="Jobs <now>"))  # noqa: S314 - our own
    assert drawn.get("aria-label") == "Jobs <now>"
    line = drawn.find("polyline")
    assert line is not None
    points = [tuple(map(float, one.split(","))) for one in str(line.get("points")).split()]
    assert points == [(0, HEIGHT - 3), (WIDTH / 2, HEIGHT / 2), (WIDTH, 3)]


def test_values_that_are_not_known_leave_a_gap() -> None:
    drawn = ET.fromstring(plot([1, 2, math.nan, 3, 4], label=""))  # noqa: S314 - our own
    assert len(drawn.findall("polyline")) == 2
    assert ET.fromstring(plot([], label="")).find("polyline") is None  # noqa: S314 - our own


def test_a_plot_has_no_style_that_the_policy_forbids() -> None:
    for drawn in (plot([1, 2], label="x", most=10), bars([1, 0, 2], label="x")):
        assert "style=" not in drawn


def test_bars_are_in_proportion() -> None:
    drawn = ET.fromstring(bars([1, 0, 2], label="x"))  # noqa: S314 - our own
    heights = [float(str(one.get("height"))) for one in drawn.findall("rect")]
    assert heights[1] == 2 * heights[0] == HEIGHT - 3


def test_a_counter_is_plotted_by_its_increase_and_the_oldest_values_are_forgotten() -> None:
    values = iter(range(0, 10_000, 2))
    history = History({"a": Series(read=lambda: next(values), is_counter=True)})
    for _ in range(KEPT + 5):
        history.read()
    assert list(history.values("a")) == [2.0] * KEPT


def test_every_plotted_series_exists() -> None:
    history = History()
    history.read()
    for name in SERIES:
        assert hasattr(metrics, name)
        assert len(history.values(name)) == 1
