"""The alerts of config/alerts.yml."""

from __future__ import annotations

import re

from tests.documents.reference.tables import code, table
from tests.expressions import Rule, rules, series_there

_TEMPLATE = re.compile(r"\{\{\s*\$(?:labels\.)?(\w+)[^}]*\}\}")


def alerts_table(_: str) -> str:
    """Return every alert with its severity, how long its condition holds first, and what it reports."""
    rows = (
        [f"[{rule.alert}](#{rule.alert.lower()})", rule.labels["severity"], rule.waits or "at once", _summary(rule)]
        for rule in rules()
    )
    return table(["alert", "severity", "fires after", "meaning"], rows)


def alert_sections(_: str) -> str:
    """Return a section for each alert: its expression and its runbook."""
    return "\n\n".join(
        f"## {rule.alert}\n\n```promql\n{rule.expr.strip()}\n```\n\n{_runbook(rule)}\n\n"
        f"More in [operating](../operating.md#{rule.alert.lower()})."
        for rule in rules()
    )


def _summary(rule: Rule) -> str:
    summary = _TEMPLATE.sub(lambda found: "N" if found[1] == "value" else code(found[1]), rule.annotations["summary"])
    return f"{summary.removesuffix('.')}."


def _runbook(rule: Rule) -> str:
    """Return the runbook of an alert, in which series are code and other alerts are links."""
    alerts, series = "|".join(one.alert for one in rules()), "|".join(sorted(series_there()))
    text = re.sub(rf"\b({alerts})\b", lambda found: f"[{found[1]}](#{found[1].lower()})", _one_line(rule))
    return re.sub(rf"(?<!`)\b((?:{series})\b)(?!`)", r"`\1`", text)


def _one_line(rule: Rule) -> str:
    return " ".join(rule.annotations["runbook"].split())
