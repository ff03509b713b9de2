"""The pages of docs/reference are what the code says; `make reference` writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from proxy.cli.main import COMMANDS
from proxy.settings.settings import list_settings
from tests.documents.reference import commands, generated, tables
from tests.documents.reference.openapi import document
from tests.documents.reference.pages import BLOCKS, FOLDER, pages

if TYPE_CHECKING:
    from pathlib import Path


def text_of(page: str) -> str:
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(pages()), ids=lambda path: path.name)
def test_a_page_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == pages()[path], "run `make reference`, and commit what it changed"


def test_every_block_is_in_one_page() -> None:
    assert sorted(name for path in pages() for name in generated.names(path.read_text(encoding="utf-8"))) == sorted(
        BLOCKS
    )


def test_every_setting_command_and_route_is_described() -> None:
    assert [one.name for one in list_settings() if f"| `{one.name}` |" not in text_of("settings")] == []
    assert [one for one in COMMANDS if f"`gf-images {one}" not in text_of("command-line")] == []
    assert [path for path in document().paths if f" {path}`" not in text_of("routes")] == []


def test_every_route_is_in_the_guide_to_http() -> None:
    guide = text_of("http").replace("<upload_url>", "/v1/uploads/<token>")
    paths = {path: re.sub(r"\\{\w+\\}", "<[^>]+>", re.escape(path)) for path in document().paths}
    assert [path for path, pattern in paths.items() if not re.search(f"[ `]{pattern}[`?]", guide)] == []


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("only with --report: x", "only with `--report`: x"),
        ("its host must be in CALLBACK_HOSTS.", "its host must be in `CALLBACK_HOSTS`."),
        ("set `PORT=80` or HOST=::", "set `PORT=80` or HOST=::"),
        ("at <key>/<size>", "at `<key>/<size>`"),
        ("a port, an export", "a port, an export"),
    ],
)
def test_names_in_texts_of_the_code_become_code(text: str, markdown: str) -> None:
    assert tables.prose(text) == markdown


def test_every_series_that_the_service_exports_is_described() -> None:
    exported = {family.name + "_total" * (family.type == "counter") for family in REGISTRY.collect()}
    ours = {name for name in exported if not name.startswith(("process_", "python_"))}
    assert len(ours) > 30
    assert [name for name in sorted(ours) if f"| `{name}` |" not in text_of("metrics")] == []


def test_every_command_has_a_sentence_in_the_table() -> None:
    for one in commands.commands():
        assert f"[`{one.name}`]" in text_of("command-line")
        assert (one.command.help or "").strip(), one.name


def test_a_block_is_replaced_and_what_is_around_it_stays() -> None:
    text = "a\n\n<!-- generated: x (`make reference`) -->\n\nold\n\n<!-- end -->\n\nb\n"
    made = generated.replaced(text, {"x": lambda body: f"{body.strip()}er"})
    assert made == text.replace("old", "older")


def test_a_block_that_nothing_generates_is_an_error() -> None:
    with pytest.raises(generated.UnknownBlock, match="'y'; the blocks are x"):
        generated.replaced("<!-- generated: y (`make reference`) -->\n<!-- end -->", {"x": str})


def test_a_table_escapes_the_bars_of_its_cells() -> None:
    assert tables.table(["a"], [["`x|y`"], [r"`x\|y`"]]).splitlines()[2:] == [r"| `x\|y` |"] * 2


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("see docs/events.md", "[events.md](../events.md)"),
        ("see docs/reference/http.md#callbacks.", "[http.md](http.md#callbacks)"),
        ("see docs/how-to/wheel.md", "[wheel.md](../how-to/wheel.md)"),
        ("see SECURITY.md", "[SECURITY.md](../../SECURITY.md)"),
        ("[events](docs/events.md)", "(docs/events.md)"),
    ],
)
def test_a_document_that_is_named_becomes_a_link(text: str, link: str) -> None:
    assert link in tables.linked(text)
