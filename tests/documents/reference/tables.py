"""Tables of Markdown, as GitHub and the documentation site render them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proxy.settings.settings import list_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown on one line."""
    lines = [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def code(text: object) -> str:
    """Return a text as code, or nothing if it is empty."""
    return f"`{text}`" if str(text) else ""


def prose(text: str) -> str:
    """Return a text of the code as Markdown: options, settings and `<words>` are code, and documents are links."""
    settings = "|".join(one.name for one in list_settings())
    pattern = rf"(<[\w-]+>(?:/<[\w-]+>)*|(?<![\w`/<-])(?:--[a-z][a-z-]*|(?:{settings})(?![\w`=/])))"
    pieces = re.split(r"(`[^`]*`)", text)
    return linked("".join(one if one.startswith("`") else re.sub(pattern, r"`\1`", one) for one in pieces))


def linked(text: str) -> str:
    """Return a text in which each document that it names is a link, relative to docs/reference."""
    text = re.sub(r"(?<![\w/(\[-])docs/((?:[\w-]+/)*[\w-]+\.md)(#[\w-]+)?", _link, text)
    return re.sub(r"(?<![\w/(\[-])(SECURITY|DEBUGGING)\.md\b", r"[\1.md](../../\1.md)", text)


def _link(found: re.Match[str]) -> str:
    path, anchor = found[1], found[2] or ""
    near = path.removeprefix("reference/")
    return f"[{path.rpartition('/')[2]}]({near if near != path else f'../{path}'}{anchor})"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
