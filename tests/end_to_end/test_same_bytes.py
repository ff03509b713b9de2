"""Whichever way a derivative comes about, it is the same to the byte: by a job, a page view, a reprocess, offline."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest import demo
from loadtest.servers.service import Service, order, running, signed
from pipeline.protocol import Limits
from proxy.rendering.local import local_renderers, render_file
from proxy.settings.sizes import SIZES_FILE, read_sizes
from tests.end_to_end.reprocesses import run
from tests.pipeline.rendering import photographs
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.rendering.pool import RenderPool

SUFFIXES = (".jpg", ".jpeg", ".mpo", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif", ".heic")

EVERY = count(5, otherwise=12)
"""Each fifth photograph: three renders each take their time."""

PHOTOS = photographs(*SUFFIXES)[::EVERY]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), DELIVERY="stream", MAX_UPLOAD_MB="1024") as one:
        yield one


@pytest.fixture(scope="module")
async def local() -> AsyncIterator[RenderPool]:
    async with local_renderers(budget_bytes=1 << 30, deadline_seconds=60) as one:
        yield one


@pytest.fixture(scope="module")
def reprocessed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a store of which every original was reprocessed."""
    folder = tmp_path_factory.mktemp("reprocessed")
    (folder / "store" / "job").mkdir(parents=True)
    for photo in PHOTOS:
        shutil.copyfile(photo, folder / "store" / original(photo))
    run(folder, sizes=Path(SIZES_FILE).read_text(encoding="utf-8"), MAX_UPLOAD_MB="1024")
    return folder / "store"


def original(photo: Path) -> str:
    return f"job/{photo.stem}_original{photo.suffix}"


def keys_by_job(service: Service, photo: Path) -> dict[str, str]:
    service.put(original(photo), photo)
    body = order(original(photo))
    posted = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body))
    job = demo.ended(service, posted.headers["location"])
    return {made.size: made.key for made in job.derivatives}


def by_page_view(service: Service, photo: Path, sizes: list[str]) -> dict[str, bytes]:
    key = f"page/{photo.stem}_original{photo.suffix}"
    service.put(key, photo)
    with httpx.Client(base_url=service.url, timeout=60) as client:
        return {size: client.get(f"/img/{key}/{size}").raise_for_status().content for size in sizes}


@pytest.mark.skipif(not photographs(), reason="no photographs here: set IMAGE_CORPUS to a folder with photos/")
@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
async def test_lazy_bytes_are_a_jobs_bytes_are_a_reprocess_bytes_are_offline_bytes(
    service: Service, reprocessed: Path, local: RenderPool, photo: Path, tmp_path: Path
) -> None:
    sizes = read_sizes(Path(SIZES_FILE))
    outcome = await render_file(local, photo, out=tmp_path, sizes=sizes, limits=Limits(pixels=100_000_000))
    expected = {made.size: Path(made.path).read_bytes() for made in outcome.derivatives}
    assert set(expected) == {size.name for size in sizes}, outcome.refusal
    keys = keys_by_job(service, photo)
    assert {size: (service.store / key).read_bytes() for size, key in keys.items()} == expected
    assert {size: (reprocessed / key).read_bytes() for size, key in keys.items()} == expected
    assert by_page_view(service, photo, [*expected]) == expected
