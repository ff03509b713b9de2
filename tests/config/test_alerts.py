"""The alerts: each can be evaluated, fires when it should, and says what to do."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.expressions import CONFIG, rules, series_of, series_there
from tests.servers import program

OPERATING = (CONFIG.parent / "docs" / "operating.md").read_text(encoding="utf-8")


@pytest.mark.needs("promtool", "prometheus")
@pytest.mark.parametrize(
    "words",
    [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml"), ("check", "config", "prometheus.yml")],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(words: tuple[str, ...]) -> None:
    told = subprocess.run([program("promtool"), *words], cwd=CONFIG, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_is_seen_firing_and_seen_silent() -> None:
    tests = (CONFIG / "alerts.test.yml").read_text(encoding="utf-8")
    cases = [(expr, "exp_samples" in rest) for expr, rest in re.findall(r"- expr: (.*)\n((?:        .*\n)*)", tests)]
    for rule in rules():
        about = [(expr, is_there) for expr, is_there in cases if rule.alert in expr]
        assert [expr for expr, is_there in about if is_there and "firing" in expr], rule.alert
        assert [expr for expr, is_there in about if not is_there], rule.alert


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule.labels["severity"] in {"warning", "critical"}
        assert rule.annotations["summary"]
        assert len(rule.annotations["runbook"]) > 50
        assert f"### {rule.alert}\n" in OPERATING


def test_every_alert_asks_for_series_that_are_there() -> None:
    assert set().union(*(series_of(rule.expr) for rule in rules())) <= series_there()


def test_the_runbooks_name_only_alerts_and_series_that_are_there() -> None:
    alerts = {rule.alert for rule in rules()}
    for rule in rules():
        named = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", rule.annotations["runbook"]))
        assert named <= alerts
        assert set(re.findall(r"\b[a-z]+_(?:total|seconds|bytes)\b", rule.annotations["runbook"])) <= {
            name.removesuffix("_bucket") for name in series_there()
        }


def test_the_seeds_alert_is_as_it_was_asked_for() -> None:
    (rule,) = [rule for rule in rules() if rule.alert == "QueueTooLong"]
    assert re.sub(r"(max|sum) by \(app, job\) \((\w+)\)", r"\2", rule.expr) == "queue_depth > workers * 4"
    text = (CONFIG / "alerts.yml").read_text(encoding="utf-8")
    assert re.search(rf"expr: {re.escape(rule.expr)}\n        for: 5m\n", text)
