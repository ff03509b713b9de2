"""Parsing of the values of options."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxy.bulk.options import parse_budget, parse_date, parse_rate


@pytest.mark.parametrize(
    ("word", "failed", "originals", "holds"),
    [
        ("0.5%", 100, 20_000, True),
        ("0.5%", 101, 20_000, False),
        ("0.7%", 7, 1_000, True),  # 6.999… in floating point
        ("0.7%", 8, 1_000, False),
        ("0%", 0, 0, True),
        ("0.5 %", 1, 10, False),
        ("20", 20, 20, True),
        ("20", 21, 20_000, False),
    ],
)
def test_a_budget_is_a_share_of_all_or_a_number(word: str, failed: int, originals: int, *, holds: bool) -> None:
    assert parse_budget(word).holds(failed=failed, originals=originals) is holds


@pytest.mark.parametrize("word", ["", "many", "-1", "0.5", "5%%", "nan"])
def test_a_budget_that_is_neither_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        parse_budget(word)


@pytest.mark.parametrize(
    ("word", "seconds"), [("5/s", 0.2), ("4", 0.25), ("120/min", 0.5), ("7200/h", 0.5), ("0.5/s", 2)]
)
def test_a_rate_is_the_time_that_one_may_take(word: str, seconds: float) -> None:
    assert parse_rate(word) == pytest.approx(seconds)


@pytest.mark.parametrize("word", ["", "fast", "0/s", "5/day", "-1/s"])
def test_a_rate_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        parse_rate(word)


def test_a_moment_without_a_zone_is_in_utc() -> None:
    assert parse_date("2026-11-24") == datetime(2026, 11, 24, tzinfo=UTC)
    assert parse_date("2026-11-24T12:00+02:00") == datetime(2026, 11, 24, 10, tzinfo=UTC)
    with pytest.raises(ValueError, match="not a date"):
        parse_date("yesterday")
