"""`SHADOW_PREFIX`: page views, jobs and purges touch no live derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.service import order, signed
from tests.proxy.routes.conftest import KEY, SECRET, serving
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

LIVE = "gall/58/58_1_small.jpg"


async def test_page_views_jobs_and_purges_keep_to_the_shadow(tmp_path: Path) -> None:
    async with serving(tmp_path, shadow_prefix="shadow/") as site:
        site.upload()
        (site.store / LIVE).write_bytes(b"the live one")
        view = await site.client.get(f"/img/{KEY}/small")
        assert (view.status_code, view.headers["location"]) == (302, f"/files/shadow/{LIVE}")
        assert (await site.client.get(view.headers["location"])).headers["content-type"] == "image/jpeg"
        purge = f"DELETE /v1/derivatives/{KEY}"
        gone = await site.client.delete(f"/v1/derivatives/{KEY}", headers=signed(purge.encode(), secret=SECRET))
        assert gone.is_success, gone.text
        assert not (site.store / "shadow").exists()

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
