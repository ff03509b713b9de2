"""The table of log events: every form of a log call is found, and every event has a meaning."""

from __future__ import annotations

import pytest

from tests.documents.reference.log_events import log_events_table, logged, meanings
from tests.documents.reference.pages import FOLDER


def test_the_table_explains_every_event() -> None:
    known = meanings((FOLDER / "log-events.md").read_text(encoding="utf-8"))
    assert len(known) > 50
    assert all(meaning.endswith(".") for meaning in known.values())


def test_the_table_keeps_the_meanings_that_it_has() -> None:
    row = "| `started` | critical | It runs \\| or not. |"
    assert "| `started` | info | It runs \\| or not. |" in log_events_table(row)
    assert "| `stopping` | info |  |" in log_events_table(row)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('log.info("a", key=1)', {"a": {"info"}}),
        ('log.exception("a")\nlog.warning("a")', {"a": {"error", "warning"}}),
        ('(log.warning if bad else log.info)("a")', {"a": {"info", "warning"}}),
        ('context.run(log.warning, "a", line=1)', {"a": {"warning"}}),
        ('structlog.get_logger(__name__).critical("a")', {"a": {"critical"}}),
        ('TABLE: dict[str, str] = {"x": "a", "y": "b"}\nlog.error(TABLE[x])', {"a": {"error"}, "b": {"error"}}),
        ('other.info("a")', {}),
    ],
)
def test_every_form_of_a_log_call_is_found(source: str, expected: dict[str, set[str]]) -> None:
    assert logged(source) == expected


@pytest.mark.parametrize("name", ['f"a_{outcome}"', "error.code"])
def test_an_event_that_is_not_a_literal_is_an_error(name: str) -> None:
    with pytest.raises(AssertionError, match="must be a literal"):
        logged(f"log.info({name})")
