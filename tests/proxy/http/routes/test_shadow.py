"""`SHADOW_PREFIX`: page views, jobs and purges leave live derivatives alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.servers.service import order, signed
from tests.proxy.http.conftest import KEY, SECRET, serving
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy.http.conftest import Site

pytestmark = pytest.mark.anyio

LIVE = "gall/58/58_1_small.jpg"


def replaced(site: Site) -> None:
    """Keep an old derivative, as a promotion does."""
    path = site.store / "replaced" / LIVE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"what the old backend made")


@pytest.mark.parametrize(
    "settings", [{}, {"former_shadow_prefix": "tried/"}, {"shadow_prefix": "new/", "former_shadow_prefix": "tried/"}]
)
async def test_a_purge_removes_what_is_left_of_a_shadow_and_of_a_promotion(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    former = settings.get("former_shadow_prefix", "shadow/")
    async with serving(tmp_path, shadow_prefix=former) as site:
        site.upload()
        await site.client.get(f"/img/{KEY}/small")
    async with serving(tmp_path, **settings) as site:
        await site.client.get(f"/img/{KEY}/small")
        replaced(site)
        address = f"/v1/derivatives/{KEY}"
        told = await site.client.delete(address, headers=signed(f"DELETE {address}".encode(), secret=SECRET))
        assert {f"{settings.get('shadow_prefix', '')}{LIVE}", former + LIVE, f"replaced/{LIVE}"} <= {
            *told.json()["deleted"]
        }
        left = [str(path.relative_to(site.store)) for path in site.store.rglob("*.jpg") if path.is_file()]
        assert left == [KEY]


async def test_page_views_jobs_and_purges_keep_to_the_shadow(tmp_path: Path) -> None:
    async with serving(tmp_path, shadow_prefix="shadow/") as site:
        site.upload()
        (site.store / LIVE).write_bytes(b"the live one")
        replaced(site)
        view = await site.client.get(f"/img/{KEY}/small")
        assert (view.status_code, view.headers["location"]) == (302, f"/files/shadow/{LIVE}")
        assert (await site.client.get(view.headers["location"])).headers["content-type"] == "image/jpeg"
        purge = f"DELETE /v1/derivatives/{KEY}"
        gone = await site.client.delete(f"/v1/derivatives/{KEY}", headers=signed(purge.encode(), secret=SECRET))
        assert gone.is_success, gone.text
        assert not (site.store / "shadow").exists()
        assert not (site.store / "replaced").exists()

        body = order(KEY)
        posted = await site.client.post("/v1/jobs", content=body, headers=signed(body, secret=SECRET))

        async def is_done() -> bool:
            return bool((await site.client.get(posted.headers["location"])).json()["status"] == "done")

        await until(is_done)
        record = (await site.client.get(posted.headers["location"])).json()
        assert {one["key"].partition("/")[0] for one in record["derivatives"]} == {"shadow"}
        assert (site.store / LIVE).read_bytes() == b"the live one"
        assert [path.name for path in sorted((site.store / "gall/58").iterdir())] == [
            "58_1_original.jpg",
            "58_1_small.jpg",
        ]
