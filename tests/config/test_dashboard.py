"""The dashboard: it can be imported anywhere, and every panel asks for something that is there."""

from __future__ import annotations

import itertools
import re

import msgspec

from proxy.settings.settings import Settings
from tests.expressions import CONFIG, dashboard, dashboard_expressions, series_of, series_there, texts

ROOT = CONFIG.parent

OWN = re.compile(r"^(?!process_|python_)")


class Place(msgspec.Struct, frozen=True):
    """Where a panel lies, in a grid 24 wide."""

    h: int
    w: int
    x: int
    y: int


class Panel(msgspec.Struct, frozen=True, rename="camel"):
    """A panel, as far as it is looked at here."""

    id: int
    type: str
    title: str
    grid_pos: Place
    description: str = ""
    targets: tuple[dict[str, object], ...] = ()


def panels() -> list[Panel]:
    return msgspec.convert(dashboard()["panels"], list[Panel])


def test_every_expression_asks_for_series_that_are_there() -> None:
    assert set().union(*map(series_of, dashboard_expressions())) <= series_there()


def test_every_series_of_ours_is_on_it() -> None:
    shown = set().union(*map(series_of, dashboard_expressions()))
    stems = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}
    there = {re.sub(r"_(bucket|count|sum)$", "", name) for name in series_there() if OWN.match(name)}
    assert there <= stems


def test_nothing_on_it_names_one_prometheus() -> None:
    assert {text for name, text in texts(dashboard()) if name == "uid"} == {"gallformers-images", "${datasource}"}
    variables = msgspec.convert(dashboard()["templating"], dict[str, list[dict[str, object]]])["list"]
    assert [(one["name"], one["type"]) for one in variables] == [
        ("datasource", "datasource"),
        ("app", "query"),
        ("instance", "query"),
    ]


def test_every_panel_says_what_it_shows_and_overlaps_none() -> None:
    assert len({panel.id for panel in panels()}) == len(panels())
    for panel in panels():
        assert panel.title
        assert panel.type == "row" or (panel.description and panel.targets), panel.title
        assert panel.grid_pos.x + panel.grid_pos.w <= 24
    for one, other in itertools.combinations([panel.grid_pos for panel in panels()], 2):
        beside = one.x + one.w <= other.x or other.x + other.w <= one.x
        assert beside or one.y + one.h <= other.y or other.y + other.h <= one.y


def test_fly_asks_where_the_service_answers() -> None:
    told = msgspec.toml.decode((ROOT / "fly.toml").read_bytes())
    port = int(told["env"].get("METRICS_PORT", Settings().metrics_port))
    assert told["metrics"] == {"port": port, "path": "/metrics"}
    assert f" {port}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f'"127.0.0.1:{port}"' in (CONFIG / "prometheus.yml").read_text(encoding="utf-8")
