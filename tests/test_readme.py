"""What README says is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from proxy import metrics
from proxy.cli.main import COMMANDS
from proxy.settings.settings import list_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(page: str) -> dict[str, list[str]]:
    """Read the tables of a page of docs/reference: their rows by the name in their first column."""
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    lines = [line.strip("|\n ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


def test_the_table_of_settings_is_every_setting_with_its_default_and_meaning() -> None:
    assert rows("settings") == {
        setting.name: [f"`{shown(setting.default)}`" if shown(setting.default) else "", setting.description]
        for setting in list_settings()
    }


def shown(default: object) -> str:
    """Show a default as an operator would write it."""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default).removeprefix(f"{ROOT}/")


def test_the_table_of_metrics_is_every_series_with_its_labels() -> None:
    series = {name: one for name, one in vars(metrics).items() if isinstance(one, MetricWrapperBase)}
    assert rows("metrics") == {
        name: [", ".join(f"`{label}`" for label in one._labelnames), one._documentation]  # noqa: SLF001 - the library tells these nowhere else
        for name, one in series.items()
    }
    assert all(isinstance(one, Counter | Gauge | Histogram) for one in series.values())


def test_every_series_that_the_service_exports_is_in_the_table_under_its_name() -> None:
    told = {family.name + ("_total" if family.type == "counter" else "") for family in REGISTRY.collect()}
    assert {name for name in told if not name.startswith(("process_", "python_"))} == set(rows("metrics"))


def test_every_command_is_in_the_table_of_commands() -> None:
    named = {re.split(r" ", name)[1] for name in rows("command-line")}
    assert named == set(COMMANDS)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make ([\w-]+)", README))))
def test_every_target_that_is_named_exists(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)
