"""The tutorials, from their first command to their last."""

from __future__ import annotations

import io
import re
import runpy
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import PIL.Image
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import SECRET
from tests.documents.blocks import ADDRESS, ROOT, Block, blocks, run, serving
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TUTORIALS = ROOT / "docs" / "tutorials"
WIDTH, HEIGHT = 2400, 1800


def block(tutorial: str, phrase: str) -> Block:
    """Return the first block of a tutorial that contains a phrase."""
    return next(one for one in blocks(TUTORIALS / f"{tutorial}.md") if phrase in one.text)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clone is for a reader, with a photograph of theirs."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "docs").symlink_to(ROOT / "docs")
    (folder / ".venv").symlink_to(sys.prefix)
    paint(folder / "photo.jpg", Photograph(width=WIDTH, height=HEIGHT, gps=True))
    return folder


@pytest.fixture(scope="module")
def address(clone: Path) -> Iterator[str]:
    with serving(block("first-photo", "make run"), cwd=clone) as one:
        run(block("first-photo", "cp photo.jpg"), at=one, cwd=clone)
        yield one


@pytest.mark.anyio
@pytest.mark.needs("curl", "curl")
async def test_the_first_photo_is_on_a_page_in_four_sizes(clone: Path, address: str) -> None:
    run(block("first-photo", "curl"), at=address, cwd=clone)
    with PIL.Image.open(clone / "medium.jpg") as medium:
        assert medium.width == 800
    promised = block("first-photo", "1_1_large.jpg").text.split()

    async def stored() -> bool:
        return sorted(path.name for path in (clone / "var/store/gall/1").glob("1_1_*.jpg")) == promised

    await until(stored)
    run(block("first-photo", "page.html"), at=address, cwd=clone)
    shown = re.findall(r'alt="(\w+)" src="([^"]+)"', (clone / "page.html").read_text(encoding="utf-8"))
    assert {size: _width(url) for size, url in shown} == {"small": 300, "medium": 800, "large": 1200, "xlarge": 2000}


def test_the_gallery_offers_every_width_of_every_photograph(clone: Path, address: str) -> None:
    run(block("gallery-page", "cp docs"), at=address, cwd=clone)
    program = block("gallery-page", "# gallery.py").text.replace(ADDRESS, address)
    (clone / "gallery.py").write_text(program, encoding="utf-8")
    printed = run(block("gallery-page", "python3 gallery.py"), at=address, cwd=clone)
    assert printed == "gallery.html shows 1 photographs\n"
    page = (clone / "gallery.html").read_text(encoding="utf-8")
    offered = {int(width): url for url, width in re.findall(r"(http\S+) (\d+)w", page)}
    assert {width: _width(url) for width, url in offered.items()} == {one: one for one in (300, 800, 1200, 2000)}


@pytest.mark.anyio
async def test_a_site_orders_an_upload_and_the_page_shows_what_was_uploaded(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = block("uploads", "make run")
    start = replace(start, text=start.text.replace("$(.venv/bin/gf-images secret)", SECRET))
    with serving(start, cwd=tmp_path) as address:
        monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
        monkeypatch.syspath_prepend(str(clone / "docs" / "clients"))
        source = block("uploads", "# site.py").text.replace(ADDRESS, address)
        (tmp_path / "site.py").write_text(source, encoding="utf-8")
        site = runpy.run_path(str(tmp_path / "site.py"))["app"].test_client()
        assert address in site.get("/").text
        assert site.post("/uploads?name=notes.txt").status_code == 422

        order = site.post("/uploads?name=Oak%20gall.JPG").json
        answer = _upload(order, (clone / "photo.jpg").read_bytes())
        assert answer.status_code == 201
        assert _width(f"{address}/img/{order['key']}/small") == 300
        refused = _upload(site.post("/uploads?name=fake.jpg").json, b"%PDF-1.7\n")
        assert refused.status_code == 422
        assert refused.json()["detail"]


def _upload(order: dict[str, Any], body: bytes) -> httpx.Response:
    """Put a file to an ordered URL as the page of the site does."""
    answer = httpx.put(order["upload_url"], content=body, headers={"origin": "http://127.0.0.1:5000"}, timeout=60)
    assert answer.headers["access-control-allow-origin"] == "http://127.0.0.1:5000"
    return answer


def _width(url: str) -> int:
    answer = httpx.get(url, follow_redirects=True, timeout=60).raise_for_status()
    return PIL.Image.open(io.BytesIO(answer.content)).width
