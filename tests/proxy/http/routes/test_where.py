"""Originals below a prefix with sizes or a layout of its own: every route agrees on their sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.settings.sizes import read_sizes_file
from tests.proxy.http.conftest import NUMBERS, Site, serving
from tests.proxy.http.routes.test_facts import ask as ask_facts
from tests.proxy.http.routes.test_jobs import ended, post
from tests.proxy.http.routes.test_purge import purge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

FILE = Path(__file__).parents[4] / "config" / "sizes-gallformers.toml"


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A service with the ready file of the site."""
    async with serving(tmp_path_factory.mktemp("site"), where=read_sizes_file(FILE).where) as one:
        yield one


@pytest.fixture
def key() -> str:
    """The key of an original of which two sizes exist."""
    return f"keys/{next(NUMBERS)}/1_u_original.jpg"


@pytest.fixture
def article() -> str:
    """The key of an original without `_original` in its name."""
    return f"articles/{next(NUMBERS)}/1699.jpg"


def beside(site: Site, key: str) -> list[str]:
    """Return the names of all files in the folder of an original, except that of the original."""
    path = site.store / key
    return sorted(one.name for one in path.parent.iterdir() if one != path)


async def test_a_job_renders_the_sizes_of_the_prefix_and_describes_the_whole_picture(site: Site, key: str) -> None:
    site.upload(key, width=1000, height=750)
    job = await ended(site, (await post(site, msgspec.json.encode({"key": key}))).headers["location"])
    assert [(made.size, made.width) for made in job.derivatives] == [("medium", 800), ("large", 1000)]
    assert [(one.size, one.status) for one in job.sizes] == [("medium", "done"), ("large", "done")]
    assert job.picture is not None
    assert job.picture.placeholder.lqip is not None
    assert beside(site, key) == ["1_u_large.jpg", "1_u_medium.jpg"]


async def test_a_page_view_of_another_size_is_not_found_and_names_those_that_exist(site: Site, key: str) -> None:
    site.upload(key)
    answer = await site.client.get(f"/img/{key}/xlarge")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-size")
    assert answer.json()["detail"] == (
        "Unknown size 'xlarge'; the sizes of keys that start with 'keys/' are medium, large."
    )
    assert beside(site, key) == []
    assert (await site.client.get(f"/img/{key}/medium")).status_code == 302
    await site.client.get(f"/v1/images/{key}")
    assert beside(site, key) == ["1_u_large.jpg", "1_u_medium.jpg"]


async def test_a_job_for_another_size_is_refused(site: Site, key: str) -> None:
    answer = await post(site, msgspec.json.encode({"key": key, "sizes": ["small", "medium"]}))
    assert answer.status_code == 422
    assert "sizes of keys that start with 'keys/' are medium, large" in answer.json()["detail"]


async def test_a_picture_has_the_sizes_of_the_prefix_and_a_placeholder(site: Site, key: str) -> None:
    site.upload(key, width=1000, height=750)
    picture = (await site.client.get(f"/v1/images/{key}")).json()
    assert [(one["size"], one["width"]) for one in picture["sizes"]] == [("medium", 800), ("large", 1000)]
    assert picture["srcset"] == {"image/jpeg": f"{picture['sizes'][0]['url']} 800w, {picture['sizes'][1]['url']} 1000w"}
    assert picture["placeholder"]["thumbhash"]
    assert (picture["width"], picture["height"]) == (1000, 750)


async def test_a_purge_also_removes_sizes_of_before_the_table(site: Site, tmp_path: Path, key: str) -> None:
    async with serving(tmp_path) as before:
        before.upload(key)
        await before.client.get(f"/v1/images/{key}")
        assert len(beside(before, key)) == 4
    async with serving(tmp_path, where=read_sizes_file(FILE).where) as now:
        answer = await purge(now, key)
        assert {Path(one).stem for one in answer.json()["existed"]} == {
            f"1_u_{size}" for size in ("small", "medium", "large", "xlarge")
        }
        assert beside(now, key) == []


async def test_an_original_without_original_in_its_name_is_rendered_described_read_and_purged(
    site: Site, article: str
) -> None:
    site.upload(article, width=1000, height=750)
    view = await site.client.get(f"/img/{article}/medium")
    assert (view.status_code, view.headers["location"]) == (302, f"/files/derivatives/{article}/medium.jpg")
    assert (await site.client.get(view.headers["location"])).headers["content-type"] == "image/jpeg"
    assert (await site.client.get(f"/files/{article}")).status_code == 200
    assert (await site.client.get(f"/img/{article}/original")).headers["location"] == f"/files/{article}"
    picture = (await site.client.get(f"/v1/images/{article}")).json()
    assert [one["size"] for one in picture["sizes"]] == ["medium", "large"]
    assert (await ask_facts(site, article)).json()["camera"]["make"] == "Painted"
    answer = await purge(site, article)
    assert answer.json()["existed"] == [f"derivatives/{article}/{size}.jpg" for size in ("medium", "large")]
    assert (site.store / article).exists()


async def test_a_small_one_beside_a_picture_of_a_key_is_no_derivative(site: Site, key: str) -> None:
    site.upload(key)
    site.upload(small := key.replace("original", "small"))
    assert (await site.client.get(f"/files/{small}")).status_code == 400


@pytest.mark.parametrize("prefix", ["gall/", "keysmith/", "preview/gall/"])
async def test_other_originals_keep_all_sizes(site: Site, prefix: str) -> None:
    key = f"{prefix}{next(NUMBERS)}_original.jpg"
    site.upload(key)
    picture = (await site.client.get(f"/v1/images/{key}")).json()
    assert [one["size"] for one in picture["sizes"]] == ["small", "medium", "large", "xlarge"]
