"""The main job on a real bucket."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from loadtest import demo
from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.service import Service, on_bucket, order, running, signed, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZES = ["small", "medium", "large", "xlarge"]


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("weed")) as one:
        yield one


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    paint(tmp_path / "photo.jpg", Photograph(width=2400, height=1800, gps=True))
    return tmp_path / "photo.jpg"


def main_job(service: Service, photo: Path) -> None:
    """Go through the whole main job, eager and lazy, and look at what the bucket gives to everybody."""
    key = demo.store_original(service, photo)
    rows = [*demo.eager(service, key), demo.lazy(service, key)]
    assert [(row.size, row.width) for row in rows] == [
        ("small", 300),
        ("medium", 800),
        ("large", 1200),
        ("xlarge", 2000),
    ]
    for row in rows:
        kept = httpx.get(f"{service.settings['PUBLIC_BASE_URL']}/{row.key}")
        assert (kept.status_code, kept.headers["content-type"], len(kept.content)) == (200, "image/jpeg", row.bytes)
        assert kept.headers["cache-control"] == "public, max-age=86400"


def test_the_whole_main_job_on_a_bucket(weed: seaweed.Seaweed, photo: Path, tmp_path: Path) -> None:
    with running(tmp_path, weed=weed, **on_bucket(weed, seaweed.ADMIN)) as service:
        main_job(service, photo)


def test_the_whole_main_job_with_a_credential_that_can_only_put(
    weed: seaweed.Seaweed, photo: Path, tmp_path: Path
) -> None:
    address = f"{weed.url}/{seaweed.PUBLIC_BUCKET}"
    settings = on_bucket(weed, seaweed.WRITER, ORIGINALS_BASE_URL=address)
    with running(tmp_path, weed=weed, **settings) as service:
        main_job(service, photo)


def test_without_its_bucket_known_keys_redirect_and_unknown_ones_are_told_to_come_back(
    tmp_path: Path, photo: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ExitStack() as stack:
        with seaweed.running(tmp_path_factory.mktemp("mortal")) as weed:
            service = Service(folder=tmp_path, settings=on_bucket(weed, seaweed.ADMIN), weed=weed)
            stack.enter_context(started(service))
            key = demo.store_original(service, photo)
            demo.lazy(service, key)
        known = httpx.get(f"{service.url}/img/{key}/{demo.LAZY}")
        assert known.status_code == httpx.codes.FOUND
        unknown = httpx.get(f"{service.url}/img/gall/1/1_1_original.jpg/small", timeout=5)
        assert unknown.status_code == httpx.codes.BAD_GATEWAY
        assert int(unknown.headers["retry-after"]) > 0
        assert httpx.get(f"{service.url}/readyz", timeout=10).status_code == httpx.codes.SERVICE_UNAVAILABLE
        body = order(key)
        assert httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).is_success


def test_an_upload_to_a_bucket_keeps_an_original_or_replaces_it(
    weed: seaweed.Seaweed, photo: Path, tmp_path: Path
) -> None:
    key, body = "gall/90/90_1_original.jpg", photo.read_bytes()

    def upload(client: httpx.Client, content: bytes, *, replaces: bool = False) -> httpx.Response:
        ordered = msgspec.json.encode({"key": key, "replace": replaces})
        answer = client.post("/v1/uploads", content=ordered, headers=signed(ordered)).raise_for_status()
        return client.put(answer.json()["upload_url"], content=content)

    with running(tmp_path, weed=weed, **on_bucket(weed, seaweed.ADMIN)) as service:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            assert upload(client, body).status_code == 201
            assert upload(client, body + b"more").json()["type"] == "/problems/original-exists"
            bucket, place = weed.client(), {"Bucket": seaweed.PUBLIC_BUCKET, "Key": key}
            assert bucket.get_object(**place)["Body"].read() == body
            assert upload(client, body + b"more", replaces=True).status_code == 201
        found = bucket.head_object(**place)
    assert (found["ContentLength"], found["ContentType"]) == (len(body) + 4, "image/jpeg")
    assert len(found["Metadata"]["upload"]) == 32
