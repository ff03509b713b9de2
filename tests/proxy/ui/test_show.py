"""Numbers, times and foreign texts."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from proxy.ui import show

NOW = datetime(2026, 11, 30, 6, 12, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (300 * 1024, "300 KiB"), (5 << 30, "5.0 GiB")],
)
def test_a_length_has_a_unit(length: int, shown: str) -> None:
    assert show.size(length) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0123, "12 ms"), (2.44, "2.4 s"), (90, "2 min"), (8000, "2 h"), (400_000, "5 days")]
)
def test_a_duration_has_a_unit(seconds: float, shown: str) -> None:
    assert show.duration(seconds) == shown


def test_a_moment_is_told_from_now() -> None:
    assert show.ago(NOW - timedelta(seconds=20), now=NOW) == "20 s ago"
    assert show.ago(NOW - timedelta(minutes=5), now=NOW) == "5 min ago"
    assert show.ago(NOW, now=NOW) == "just now"
    assert show.ago(NOW + timedelta(seconds=90), now=NOW) == "in 2 min"
    assert show.ago(None) == "not yet"
    assert (show.when(NOW), show.when(None)) == ("2026-11-30 06:12:45 UTC", "")


def test_a_saving_is_told_in_percent() -> None:
    assert (show.saving(1000, 70), show.saving(100, 150), show.saving(0, 5)) == ("93 % smaller", "50 % larger", "")
    assert show.saving(100_000, 1) == "99 % smaller"


def test_a_number_that_is_not_known_is_no_number() -> None:
    assert (show.number(1234), show.number(0.5), show.number(math.nan)) == ("1,234", "0.50", show.UNKNOWN)


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\x00", "\x1b", "\ufeff", "\ud800"])
def test_marks_that_hide_or_reverse_text_are_visible(mark: str) -> None:
    shown = show.text(f"a{mark}gpj.exe")
    assert mark not in shown
    assert shown.startswith("a\\")


def test_names_in_all_scripts_stay_as_they_are() -> None:
    assert show.text("Käfer 虫瘿 عفص.jpg") == "Käfer 虫瘿 عفص.jpg"
