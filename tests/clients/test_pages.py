"""The snippets of docs/pages.md: written by the client, run, or at least parsed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proxy.keys.layouts import SiteLayout
from proxy.settings.sizes import read_sizes
from tests.clients.pictures import offered
from tests.clients.test_python import client, parsed
from tests.main_site import node

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
ALT = "An oak gall"
SIZES = "(max-width: 40em) 100vw, 40em"

needs_node = pytest.mark.skipif(not node.is_there(), reason=node.LACKS)


def blocks(kind: str, name: str = "pages.md") -> Iterator[str]:
    """Yield the code blocks of a document in that language."""
    yield from re.findall(
        rf"^```{kind}\n(.*?)^```$", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def described() -> dict[str, Any]:
    (block,) = blocks("json")
    described: dict[str, Any] = json.loads(block)
    return described


def test_the_html_of_an_img_is_what_the_client_writes_for_the_description() -> None:
    img, _ = blocks("html")
    assert parsed(img) == parsed(client.img(described(), alt=ALT, sizes=SIZES))


def test_the_html_of_a_picture_is_what_the_client_writes_for_two_types() -> None:
    _, picture = blocks("html")
    one = described()
    del one["sizes"][-1]  # the sizes file of the document has three widths
    webp = [
        {
            **size,
            "content_type": "image/webp",
            "url": size["url"].replace(f"_{size['size']}.", f"_{size['size']}-webp."),
        }
        for size in one["sizes"]
    ]
    sizes = one["sizes"] + webp
    assert parsed(picture) == parsed(
        client.img({**one, "sizes": sizes, "srcset": offered(*sizes)}, alt=ALT, sizes=SIZES)
    )


def test_the_addresses_of_two_types_are_those_of_the_sizes_file(tmp_path: Path) -> None:
    (recipe,) = blocks("toml")
    (tmp_path / "sizes.toml").write_text(recipe)
    sizes = read_sizes(tmp_path / "sizes.toml")
    layout = SiteLayout(sizes=tuple(size.name for size in sizes))
    keys = {layout.derivative(described()["key"], size.name): size.format for size in sizes}
    _, picture = blocks("html")
    types = {"source": "webp", "img": None}
    written = {
        url.removeprefix("https://cdn.example.org/"): types[tag]
        for tag, values in parsed(picture)[1:]
        for url, _ in re.findall(r"(\S+) (\d+)w", values["srcset"] or "")
    }
    assert written == keys


def test_the_srcset_of_the_description_is_the_clients() -> None:
    one = described()
    assert one["srcset"] == {"image/jpeg": client.srcset(one)}


@pytest.mark.parametrize("name", ["pages.md", "clients/README.md"])
def test_python_parses(name: str) -> None:
    found = [ast.parse(block) for block in blocks("python", name)]
    imported = {
        alias.name
        for block in found
        for line in ast.walk(block)
        if isinstance(line, ast.ImportFrom) and (line.module or "").endswith("image_service")
        for alias in line.names
    }
    assert imported
    assert {one for one in imported if not hasattr(client, one)} == set()


@needs_node
def test_javascript_and_typescript_run_or_parse_at_least() -> None:
    built = node.prepare()
    (hashes, config), (loader,) = blocks("js"), (one for one in blocks("ts") if "imageLoader" in one)
    (built / "pages.json").write_text(
        json.dumps(
            {
                "loader": loader,
                "config": config,
                "hashes": hashes,
                "components": [*blocks("tsx"), *blocks("ts", "clients/README.md")],
                "thumbhash": described()["placeholder"]["thumbhash"],
            }
        )
    )
    ended = subprocess.run(
        ["node", "--test", "--test-reporter", "tap", "pages.test.mjs"],
        cwd=built, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n# fail 0\n" in ended.stdout


def test_every_link_leads_to_a_file() -> None:
    for name in ("pages.md", "clients/README.md"):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (DOCS / name).read_text(encoding="utf-8"))
        missing = [link for link in links if not (DOCS / name).parent.joinpath(link).exists()]
        assert not missing
