"""Every code block of the README does what its text promises."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import sysconfig
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import PIL.Image
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import SECRET
from proxy.settings.settings import list_settings
from tests.documents.blocks import ROOT, Block, blocks, run, serving
from tests.documents.reference.settings import shown
from tests.test_distribution import BUILT_FROM
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README = ROOT / "README.md"
ORIGINAL = "var/store/gall/1/1_1_original.jpg"
WIDTH, HEIGHT = 2400, 1800
PHRASES = (
    "make run",
    "cp photo",
    "docker run",
    "pip wheel",
    "<picture>",
    "gf-images secret",
    "curl h",
    "urllib",
    "fetch",
)
"""A phrase of each block that a test below runs."""


LANGUAGES = [
    pytest.param("curl h", marks=[pytest.mark.needs("curl", "curl"), pytest.mark.needs("openssl", "openssl")]),
    "urllib",
    pytest.param("fetch", marks=pytest.mark.needs("node", "nodejs")),
]
"""A phrase of each signed post."""


class Site(NamedTuple):
    """A service that the README's blocks started, with the secret of its backend."""

    address: str
    folder: Path
    secret: str


def block(phrase: str) -> Block:
    """Return the only block that contains a phrase."""
    (one,) = (one for one in blocks(README) if phrase in one.text)
    return one


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("clone")
    paint(folder / "photo.jpg", Photograph(width=WIDTH, height=HEIGHT, gps=True))
    (folder / ".venv").symlink_to(sys.prefix)
    secret = run(block("gf-images secret"), at="", cwd=folder).strip()
    with serving(block("make run"), cwd=folder, WEBHOOK_SECRETS=secret) as address:
        yield Site(address, folder, secret)


def test_every_block_is_run() -> None:
    assert [sum(phrase in one.text for phrase in PHRASES) for one in blocks(README)] == [1] * len(PHRASES)


@pytest.mark.needs("curl", "curl")
def test_the_photograph_of_the_reader_is_viewed_in_one_size_without_its_metadata(site: Site) -> None:
    run(block("cp photo"), at=site.address, cwd=site.folder)
    with PIL.Image.open(site.folder / "small.jpg") as small:
        assert small.size == (300, 225)
        assert not small.getexif()


def test_the_addresses_of_the_picture_element_are_pictures_of_their_width(site: Site) -> None:
    _store_original(site)
    html = block("<picture>").text.replace("http://127.0.0.1:8080", site.address)
    assert {url: _width(url) for url, _ in re.findall(r"(http\S+) (\d+)w", html)} == {
        url: int(width) for url, width in re.findall(r"(http\S+) (\d+)w", html)
    }
    assert {_width(url) for url in re.findall(r'"(http[^" ]+)"', html)} == {300, 800}


def _width(url: str) -> int:
    answer = httpx.get(url, follow_redirects=True, timeout=60).raise_for_status()
    return PIL.Image.open(io.BytesIO(answer.content)).width


def _store_original(site: Site) -> None:
    original = site.folder / ORIGINAL
    original.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(site.folder / "photo.jpg", original)


@pytest.mark.anyio
@pytest.mark.parametrize("phrase", LANGUAGES)
async def test_a_signed_post_prints_the_job_which_renders_four_sizes(site: Site, phrase: str) -> None:
    _store_original(site)
    printed = run(block(phrase), at=site.address, cwd=site.folder, WEBHOOK_SECRET=site.secret)
    job = json.loads(printed)
    assert job["key"] == "gall/1/1_1_original.jpg"

    async with httpx.AsyncClient(base_url=site.address) as client:

        async def ended() -> dict[str, Any] | None:
            answer: dict[str, Any] = (await client.get(f"/v1/jobs/{job['id']}")).json()
            return answer if answer["status"] in {"done", "error"} else None

        done = await until(ended)
    assert done["status"] == "done", done
    assert [one["size"] for one in done["derivatives"]] == ["small", "medium", "large", "xlarge"]


@pytest.mark.parametrize("phrase", LANGUAGES)
def test_a_post_with_another_secret_prints_what_is_wrong(site: Site, phrase: str) -> None:
    printed = run(block(phrase), at=site.address, cwd=site.folder, WEBHOOK_SECRET=SECRET)
    assert json.loads(printed)["type"] == "/problems/bad-signature"


def test_the_container_is_ready_and_takes_signed_posts_only(tmp_path: Path, site: Site) -> None:
    with serving(block("docker run"), cwd=tmp_path, WEBHOOK_SECRET=site.secret) as address:
        assert httpx.post(f"{address}/v1/jobs", json={"key": "gall/1/1_1_original.jpg"}).status_code == 401
    assert (tmp_path / "data" / "queue.db").exists()


def test_the_wheel_is_ready_in_an_environment_of_its_own(tmp_path: Path) -> None:
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    whole = block("pip wheel")
    *first, last = whole.text.splitlines(keepends=True)
    # Nothing is downloaded: the tools to build, and the dependencies, are those of this environment.
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1"}
    run(replace(whole, text="".join(first)), at="", cwd=tmp_path, **offline)
    (site_packages,) = tmp_path.glob("images/lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    with serving(replace(whole, text=last), cwd=tmp_path) as address:
        assert httpx.get(f"{address}/img/gall/1/1_1_original.jpg/small").status_code == 404


def test_the_numbers_of_the_reasons_are_those_of_the_benchmarks() -> None:
    for row in _table("five reasons"):
        reason, links = row
        (page,) = re.findall(r"\]\(([^)#]+)", links)
        measured = (ROOT / page).read_text(encoding="utf-8")
        numbers = re.findall(r"\d[\d,.]*\d|\d+", re.sub(r"<!--.*?-->", "", reason))
        assert numbers
        assert not [number for number in numbers if number not in measured], page


def test_the_settings_have_the_defaults_of_the_service() -> None:
    defaults = {setting.name: shown(setting.default) for setting in list_settings()}
    told = {name.strip("`"): default.strip("`") for name, default, _ in _table("variable")}
    assert len(told) == 10
    assert told == {name: defaults[name] for name in told}


def _table(head: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading."""
    _, _, below = README.read_text(encoding="utf-8").partition(f"\n| {head} |")
    table = below.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
