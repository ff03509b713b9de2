"""The build of the documentation site: stage the documents, run the builder, check what it made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.documents.site.html import faults
from tests.documents.site.staging import BrokenLink, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "zensical.toml"

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Unbuilt(Exception):
    """The documentation has faults; the message lists them."""


class _Project(msgspec.Struct, frozen=True):
    docs_dir: str
    site_dir: str
    nav: list[Any]


class _Config(msgspec.Struct, frozen=True):
    project: _Project


def build(folder: Path) -> Path:
    """Build the site into a folder, and return the folder of its pages.

    Raises:
        Unbuilt: a link or an anchor is broken, the navigation lacks a page, or a page loads from another host.
    """
    project = read_project()
    try:
        pages = stage(ROOT, folder / project.docs_dir)
    except BrokenLink as broken:
        raise Unbuilt(str(broken)) from None
    nav = expanded(project.nav, pages)
    if missing := navigation_faults(nav, pages):
        raise Unbuilt("\n".join(missing))
    _write_config(folder / CONFIG.name, nav)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Unbuilt(_COLOURS.sub("", ended.stdout + ended.stderr))
    site = folder / project.site_dir
    if wrong := [*faults(site)]:
        raise Unbuilt("\n".join(wrong))
    return site


def read_project() -> _Project:
    """Return what zensical.toml sets."""
    return msgspec.toml.decode(CONFIG.read_bytes(), type=_Config).project


def expanded(nav: list[Any], pages: list[str]) -> list[Any]:
    """Return a navigation in which each pattern is replaced by the pages that match it and are not named otherwise.

    A section without pages is left out.
    """
    rest = set(pages) - set(_entries(nav))

    def walked(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: walked(one) for name, one in value.items()}
        if isinstance(value, list):
            entries = (one for entry in value for one in (matched(entry) if _is_pattern(entry) else [walked(entry)]))
            return [entry for entry in entries if not (isinstance(entry, dict) and [*entry.values()] == [[]])]
        return value

    def matched(pattern: str) -> list[str]:
        return sorted(page for page in rest if fnmatchcase(page, pattern))

    return [walked(entry) for entry in nav]


def _is_pattern(entry: object) -> bool:
    return isinstance(entry, str) and "*" in entry


def _write_config(path: Path, nav: list[Any]) -> None:
    config = msgspec.toml.decode(CONFIG.read_bytes())
    config["project"]["nav"] = nav
    if url := os.environ.get("SITE_URL"):  # 404.html is served at every path, so its links begin with the site's
        config["project"]["site_url"] = url
    path.write_bytes(msgspec.toml.encode(config))


def navigation_faults(nav: list[Any], pages: list[str]) -> list[str]:
    """Return which pages the navigation lacks, and which of its entries are no pages."""
    named = set(_entries(nav))
    lacks = [f"zensical.toml: nav lacks {page}" for page in pages if page not in named]
    return lacks + [f"zensical.toml: nav has {page}, which does not exist" for page in sorted(named - set(pages))]


def _entries(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from (entry for value in nav.values() for entry in _entries(value))
    elif isinstance(nav, list):
        yield from (entry for value in nav for entry in _entries(value))
