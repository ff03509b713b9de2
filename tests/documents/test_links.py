"""Links of documents lead to files of the checkout, and to headings that these have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", ".github/*.md")
    for path in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def headings(path: Path) -> set[str]:
    """Return the anchors of a document, as GitHub derives them from its headings."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return set(found)


def links(source: str) -> list[str]:
    """Return the targets of all links and pictures of a document that do not lead elsewhere."""
    text = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", source))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    document = ROOT / name
    broken = []
    for target in links(document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in headings(file)):
            broken.append(target)
    assert not broken


def test_a_heading_with_code_and_punctuation_has_the_anchor_of_github(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# `<img>`, one\n\n```sh\n# no heading\n```\n\n## Two [b](c)\n## Two b\n")
    assert headings(tmp_path / "a.md") == {"img-one", "two-b", "two-b-1"}


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if not name.startswith(("CHANGELOG", "docs/decisions/"))])
def test_every_target_of_make_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    source = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", source)
    for block in _FENCE.findall(source):
        named += re.findall(r"^ *(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", block, re.MULTILINE)
    assert set(named) <= targets
