"""The pages of docs/reference with everything in them that is generated from the code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.documents.reference import alerts, commands, generated, log_events, problems, routes, series, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = Path(__file__).parents[3] / "docs" / "reference"

BLOCKS: Mapping[str, Callable[[str], str]] = {
    "settings": settings.settings_table,
    "metrics": series.metrics_table,
    "log-events": log_events.log_events_table,
    "alerts": alerts.alerts_table,
    "alert-sections": alerts.alert_sections,
    "commands": commands.commands_table,
    "command-sections": commands.command_sections,
    "routes": routes.routes_table,
    "route-sections": routes.route_sections,
    "schemas": routes.schema_sections,
    "problems": problems.problems_table,
}
"""Name of a block -> what generates it from the block's present content."""


def pages(folder: Path = FOLDER) -> dict[Path, str]:
    """Return the pages that have generated blocks, each with its text as it must be."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    return {path: generated.replaced(text, BLOCKS) for path, text in texts.items() if generated.names(text)}
