"""Whichever way a derivative comes about, it is the same to the byte: by a job, by a page view, without the service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest import demo
from loadtest.service import Service, order, running, signed
from pipeline.wire import Limits
from proxy import offline
from proxy.sizes import SIZES_FILE, read_sizes
from tests.pipeline.rendering import photographs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.renderers import Renderers

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif")

EVERY = 1 if os.environ.get("WHOLE_CORPUS") else 5
"""Each fifth photograph, unless WHOLE_CORPUS asks for all of them: three renders each take their time."""

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), DELIVERY="stream", MAX_UPLOAD_MB="1024") as one:
        yield one


@pytest.fixture(scope="module")
async def local() -> AsyncIterator[Renderers]:
    async with offline.local_renderers(deadline_seconds=60) as one:
        yield one


def by_job(service: Service, photo: Path) -> dict[str, bytes]:
    key = f"job/{photo.stem}_original{photo.suffix}"
    service.put(key, photo)
    body = order(key)
    posted = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body))
    job = demo.ended(service, posted.headers["location"])
    return {made.size: (service.store / made.key).read_bytes() for made in job.derivatives}


def by_page_view(service: Service, photo: Path, sizes: list[str]) -> dict[str, bytes]:
    key = f"page/{photo.stem}_original{photo.suffix}"
    service.put(key, photo)
    with httpx.Client(base_url=service.url, timeout=60) as client:
        return {size: client.get(f"/img/{key}/{size}").raise_for_status().content for size in sizes}


@pytest.mark.skipif(not photographs(), reason="no photographs here: set IMAGE_CORPUS to a folder with photos/")
@pytest.mark.parametrize("photo", photographs(*SUFFIXES)[::EVERY], ids=lambda photo: photo.name)
async def test_lazy_bytes_are_a_jobs_bytes_are_offline_bytes(
    service: Service, local: Renderers, photo: Path, tmp_path: Path
) -> None:
    sizes = read_sizes(Path(SIZES_FILE))
    outcome = await offline.render_file(local, photo, out=tmp_path, sizes=sizes, limits=Limits(pixels=100_000_000))
    expected = {made.size: Path(made.path).read_bytes() for made in outcome.derivatives}
    assert set(expected) == {size.name for size in sizes}, outcome.refusal
    assert by_job(service, photo) == expected
    assert by_page_view(service, photo, [*expected]) == expected
