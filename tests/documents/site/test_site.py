"""The documentation site: its sources, its navigation, its checks, and the built site in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.page.devtools import Screen, browsing
from tests.documents.site.build import ROOT, Unbuilt, build, expanded, navigation_faults, read_project
from tests.documents.site.html import faults
from tests.documents.site.staging import BrokenLink, stage

if TYPE_CHECKING:
    from pathlib import Path

SCREEN = Screen(width=1280, height=900, density=1.0)
CONFIG = '[project]\nsite_name = "A"\ndocs_dir = "source"\nsite_dir = "site"\nnav = [{ "A" = "index.md" }]\n'

INSIDE = "[...document.querySelectorAll('*')].flatMap((one) => [...(one.shadowRoot?.querySelectorAll(%r) ?? [])])"
"""The elements of the search, which is a component with a tree of its own."""

OPENED = f"""new Promise((resolve) => {{
  const opening = setInterval(() => {{
    const [input] = {INSIDE % "dialog[open] input"};
    if (!input) return document.querySelector(".md-search__button").click();
    clearInterval(opening);
    input.focus();
    resolve(true);
  }}, 250);
}})"""

FOUND = f"""new Promise((resolve) => {{
  const waiting = setInterval(() => {{
    const found = {INSIDE % "a[href*='?h=']"}.map((one) => one.href);
    if (found.length) {{ clearInterval(waiting); resolve(found); }}
  }}, 50);
}})"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_links_lead_to_the_places_that_documents_have_in_the_site(tmp_path: Path) -> None:
    text = "[a](../SECURITY.md#b) [c](how-to/c.md) [d](../config/d.toml) ![e](e.png) [f](how-to) [g](https://g) [h](#h)"
    root = write(
        tmp_path / "root",
        {
            "SECURITY.md": "[a](docs/a.md)",
            "README.md": "",
            "docs/a.md": text,
            "docs/how-to/README.md": "",
            "docs/how-to/c.md": "[home](../../README.md)",
            "docs/e.png": "",
            "config/d.toml": "d",
        },
    )
    assert stage(root, tmp_path / "site") == ["explanation/security.md", "a.md", "how-to/README.md", "how-to/c.md"]
    assert (tmp_path / "site/a.md").read_text() == (
        "[a](explanation/security.md#b) [c](how-to/c.md) [d](files/config/d.toml) ![e](e.png) [f](how-to/README.md) "
        "[g](https://g) [h](#h)"
    )
    assert (tmp_path / "site/explanation/security.md").read_text() == "[a](../a.md)"
    assert (tmp_path / "site/how-to/c.md").read_text() == "[home](../index.md)"
    assert (tmp_path / "site/files/config/d.toml").read_text() == "d"


def test_code_is_left_as_it_is_but_for_the_bars_of_tables(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"docs/a.md": "```\n[a](nowhere.md)\n```\n\n`[a](b.md)` | `a\\|b`\n"})
    stage(root, tmp_path / "site")
    assert (tmp_path / "site/a.md").read_text() == "```\n[a](nowhere.md)\n```\n\n`[a](b.md)` | `a|b`\n"


def test_a_link_to_a_file_that_does_not_exist_is_named_with_its_document(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"docs/a.md": "[a](b.md) [c](../../c.md)"})
    with pytest.raises(
        BrokenLink, match=r"docs/a\.md: b\.md does not exist\ndocs/a\.md: \.\./\.\./c\.md does not exist"
    ):
        stage(root, tmp_path / "site")


def test_every_link_of_a_document_exists_and_the_navigation_has_every_page(tmp_path: Path) -> None:
    pages = stage(ROOT, tmp_path / "site")
    assert len(pages) > 80
    assert navigation_faults(expanded(read_project().nav, pages), pages) == []


def test_pages_that_the_navigation_lacks_or_only_names_are_faults() -> None:
    pages = ["a.md", "b.md"]
    assert navigation_faults([{"A": ["a.md", {"C": "c.md"}]}], pages) == [
        "zensical.toml: nav lacks b.md",
        "zensical.toml: nav has c.md, which does not exist",
    ]


def test_a_pattern_of_the_navigation_is_every_page_that_is_not_named_elsewhere() -> None:
    pages = ["a.md", "x/c.md", "x/b.md", "x/a.md", "y/a.md"]
    nav = [{"A": "a.md"}, {"X": ["x/b.md", {"More": ["x/*.md"]}, {"None": ["z/*.md"]}]}]
    assert expanded(nav, pages) == [{"A": "a.md"}, {"X": ["x/b.md", {"More": ["x/a.md", "x/c.md"]}]}]


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<script src="https://cdn.test/a.js"></script>', "loads https://cdn.test/a.js from another host"),
        ('<link rel="stylesheet" href="//fonts.test/a.css">', "loads //fonts.test/a.css from another host"),
        ('<img src="a.png">', "a.png leads nowhere"),
        ('<a href="b.html">', "b.html leads nowhere"),
        ('<a href="#b">', "#b leads nowhere"),
        ('<a href="https://example.org">', ""),
        ('<link rel="canonical" href="https://example.org">', ""),
        ('<a href="a.html#a" id="a">', ""),
    ],
)
def test_what_is_loaded_from_elsewhere_or_leads_nowhere_is_a_fault(tmp_path: Path, html: str, fault: str) -> None:
    write(tmp_path, {"a.html": html})
    assert list(faults(tmp_path)) == ([f"a.html: {fault}"] if fault else [])


def test_a_stylesheet_that_loads_from_elsewhere_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, {"a.css": "@import '//a.test/b.css'; a { background: url(https://a.test/c.png), url(d.png) }"})
    assert list(faults(tmp_path)) == ["a.css: loads //a.test/b.css", "a.css: loads https://a.test/c.png"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site"))


def test_a_broken_anchor_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"docs/index.md": "# A\n\n[b](#nowhere)\n", "zensical.toml": CONFIG}
    root = write(tmp_path / "root", pages)
    monkeypatch.setattr("tests.documents.site.build.ROOT", root)
    monkeypatch.setattr("tests.documents.site.build.CONFIG", root / "zensical.toml")
    with pytest.raises(Unbuilt, match="anchor does not exist"):
        build(tmp_path / "built")


def test_the_page_of_an_unknown_path_loads_its_style_from_the_path_of_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE_URL", "https://example.org/images/")
    unknown = (build(tmp_path) / "404.html").read_text(encoding="utf-8")
    loaded = re.findall(r'<link rel="stylesheet" href="([^"]+)"', unknown)
    assert loaded
    assert [path for path in loaded if not path.startswith("/images/")] == []


@pytest.mark.needs("chromium", "chromium")
def test_a_browser_opens_the_site_from_its_folder_and_searches_it_without_a_network(site: Path, tmp_path: Path) -> None:
    with browsing(tmp_path, SCREEN) as tab:
        for page in ("reference/settings.html", "benchmarks-peers.html", "index.html"):
            loader = tab.call("Page.navigate", url=(site / page).as_uri())["loaderId"]
            tab.wait("Page.lifecycleEvent", name="load", loaderId=loader)
        tab.evaluate(OPENED)
        tab.call("Input.insertText", text="WEBHOOK_SECRETS")
        found = tab.evaluate(FOUND)
        urls = [event["request"]["url"] for event in tab.of("Network.requestWillBeSent")]
        errors = tab.of("Runtime.exceptionThrown") + tab.of("Runtime.consoleAPICalled")
    assert any("how-to/rotating-secrets.html" in url for url in found)
    assert len(urls) > 10
    assert [url for url in urls if not url.startswith(("file:", "data:", "about:"))] == []
    assert errors == []
