"""Checks of the built site: every link leads to a page and an anchor, and nothing is loaded from another host."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOADED = {
    "link": "href",
    "script": "src",
    "img": "src",
    "source": "src",
    "iframe": "src",
    "video": "src",
    "audio": "src",
}
"""Element -> the attribute that names what a browser loads for it."""

NOT_LOADED = {"canonical", "next", "prev", "alternate"}
"""What `rel` of a link element says of documents that a browser does not load."""

_OTHER_HOST = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
_STYLE_URL = re.compile(
    r"url\(\s*['\"]?(?P<url>(?:https?:)?//[^)'\"]+)|@import\s+['\"](?P<import>[^'\"]+)", re.IGNORECASE
)


@dataclass(slots=True)
class Page(HTMLParser):
    """What a page of HTML refers to, and the anchors that it has."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if (url := values.get(LOADED.get(tag, ""))) and values.get("rel") not in NOT_LOADED:
            self.loaded.append(url)


def faults(site: Path) -> Iterator[str]:
    """Yield what is wrong with a built site, each with the page."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name}: loads {url} from another host" for url in page.loaded if _OTHER_HOST.match(url))
        local = [url for url in (*page.links, *page.loaded) if not re.match(r"[a-z]+:|//", url)]
        yield from (
            f"{name}: {url} leads nowhere"
            for url in local
            if path.name != "404.html" and not _is_there(url, path, pages)
        )
    for path in sorted(site.rglob("*.css")):
        for found in _STYLE_URL.finditer(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: loads {found['url'] or found['import']}"


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _is_there(url: str, path: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(url)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    anchor = unquote(parts.fragment)
    return target.is_file() and (not anchor or target not in pages or anchor in pages[target].anchors)
