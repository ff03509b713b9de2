"""The sources of the documentation site: the documents of the checkout, with links between their places in the site.

A document of docs/ keeps its path. A link to any other file of the checkout leads to a copy of it below `files/`.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePosixPath

ELSEWHERE = {
    "README.md": "index.md",  # the site has a first page of its own
    "ARCHITECTURE.md": "explanation/architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "DEBUGGING.md": "debugging.md",
    "SECURITY.md": "explanation/security.md",
}
"""Documents outside of docs/ -> their places in the site."""

ASSETS = ("*.png", "*.svg", "*.jpg", "*.webp", "theme/*")

_CODE_OR_LINK = re.compile(
    r"(?P<fence>^ *```.*?^ *```$)|(?P<code>`[^`\n]+`)|(?P<begin>\]\()(?P<target>[^)\s]+)(?P<end>\))",
    re.MULTILINE | re.DOTALL,
)
_ABSOLUTE = re.compile(r"[a-z]+:|#|/")


class BrokenLink(Exception):
    """A document links to something that the checkout does not have."""


def stage(root: Path, folder: Path) -> list[str]:
    """Write the sources of the site into a new folder, and return the paths of its pages.

    Raises:
        BrokenLink: links lead to files that do not exist; the message lists all of them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    places, broken = _documents(root), list[str]()
    for source, place in places.items():
        text = _Rewriter(root=root.resolve(), folder=folder, source=source, places=places, broken=broken)
        _write(folder / place, text.rewritten((root / source).read_text(encoding="utf-8")))
    for pattern in ASSETS:
        for asset in (root / "docs").rglob(pattern):
            _copy(asset, folder / asset.relative_to(root / "docs"))
    if broken:
        raise BrokenLink("\n".join(broken))
    return [*places.values()]


def _documents(root: Path) -> dict[str, str]:
    """Return the documents of the checkout, each with its place in the site."""
    inside = {path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md")}
    deploy = {path.relative_to(root).as_posix() for path in (root / "deploy").rglob("*.md")}
    own = {source for source in ELSEWHERE if source != "README.md" and (root / source).exists()}
    return {source: _place(source) for source in sorted(inside | deploy | own)}


def _place(source: str) -> str:
    return ELSEWHERE.get(source) or source.removeprefix("docs/")


class _Rewriter:
    """Rewrites the links of one document."""

    def __init__(self, *, root: Path, folder: Path, source: str, places: dict[str, str], broken: list[str]) -> None:
        self._root, self._folder, self._broken = root, folder, broken
        self._source, self._places = PurePosixPath(source), places
        self._here = PurePosixPath(places[source]).parent

    def rewritten(self, text: str) -> str:
        """Return the text of the document as the site has it."""
        return _CODE_OR_LINK.sub(self._piece, text)

    def _piece(self, found: re.Match[str]) -> str:
        if found["fence"]:
            return found[0]
        if found["code"]:
            return found[0].replace(r"\|", "|")  # the builder's tables ignore bars in code, GitHub's do not
        return f"{found['begin']}{self._target(found['target'])}{found['end']}"

    def _target(self, target: str) -> str:
        if _ABSOLUTE.match(target):
            return target
        path, hash_, anchor = target.partition("#")
        file = (self._root / self._source.parent / path).resolve()
        file = file / "README.md" if (file / "README.md").exists() else file
        if not file.is_file() or not file.is_relative_to(self._root):
            self._broken.append(f"{self._source}: {target} does not exist")
            return target
        return f"{os.path.relpath(self._place_of(file), self._here)}{hash_}{anchor}"

    def _place_of(self, file: Path) -> str:
        name = file.relative_to(self._root).as_posix()
        if name in self._places or name in ELSEWHERE:
            return _place(name)
        if name.startswith("docs/") and any(PurePosixPath(name).match(pattern) for pattern in ASSETS):
            return _place(name)
        _copy(file, self._folder / "files" / name)
        return f"files/{name}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
