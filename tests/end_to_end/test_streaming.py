"""Bytes streamed out of a real bucket by the real process."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.service import Service, on_bucket, running
from proxy.derivatives.reader import READERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "gall/58/58_1_original.jpg"
LARGE = "gall/59/59_1_original.jpg"
LARGE_BYTES = 28 * 1024 * 1024
GROWTH_BYTES = 64 * 1024 * 1024
"""What so many streams may take; the blobs themselves would be 900 MiB."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with seaweed.running(tmp_path_factory.mktemp("weed")) as weed:
        settings = on_bucket(weed, seaweed.ADMIN, DELIVERY="stream", PUBLIC_BASE_URL="/files")
        with running(folder, weed=weed, **settings) as one:
            paint(folder / "photo.jpg", Photograph(width=1200, height=900))
            one.put(KEY, folder / "photo.jpg")
            (folder / "large.jpg").write_bytes(b"\xff\xd8\xff" + os.urandom(LARGE_BYTES))
            one.put(LARGE, folder / "large.jpg")
            yield one


def resident_bytes(service: Service) -> int:
    assert service.process is not None
    with open(f"/proc/{service.process.pid}/statm", encoding="ascii") as file:  # noqa: PTH123 - not a file of a disk
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def begun(service: Service) -> socket.socket:
    """Ask for something large, and take no more than the beginning."""
    client = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(f"GET /img/{LARGE}/original HTTP/1.1\r\nHost: images.test\r\n\r\n".encode())
    assert client.recv(100).startswith(b"HTTP/1.1 200")
    return client


def test_a_page_view_is_made_and_sent_and_known_from_then_on(service: Service) -> None:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        first = client.get(f"/img/{KEY}/small")
        assert (first.status_code, first.headers["content-type"]) == (200, "image/jpeg")
        assert len(first.content) == int(first.headers["content-length"])
        part = client.get(f"/img/{KEY}/small", headers={"range": "bytes=5-9", "if-range": first.headers["etag"]})
        assert (part.status_code, part.content) == (206, first.content[5:10])
        same = client.get(f"/img/{KEY}/small", headers={"if-none-match": first.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        assert client.get(f"/files/{KEY.replace('original', 'small')}").content == first.content


def test_clients_that_go_away_give_the_store_back(service: Service) -> None:
    for _ in range(2 * READERS):
        begun(service).close()
    answer = httpx.get(f"{service.url}/img/{KEY}/medium", timeout=30)
    assert answer.status_code == 200


def test_clients_that_take_nothing_use_little_memory_and_keep_no_place_from_others(
    service: Service, record_property: Callable[[str, object], None]
) -> None:
    httpx.get(f"{service.url}/img/{KEY}/medium", timeout=30)
    before = resident_bytes(service)
    slow = [begun(service) for _ in range(READERS)]
    try:
        grown = resident_bytes(service) - before
        assert httpx.get(f"{service.url}/img/{KEY}/medium", timeout=30).status_code == 200
        assert httpx.get(f"{service.url}/healthz").status_code == 200
        assert httpx.head(f"{service.url}/img/{KEY}/medium", timeout=30).status_code == 200
    finally:
        for client in slow:
            client.close()
    assert httpx.get(f"{service.url}/img/{KEY}/medium", timeout=30).status_code == 200
    assert grown < GROWTH_BYTES
    record_property("memory", f"{READERS} slow streams of {LARGE_BYTES:,} bytes: {grown / 2**20:.0f} MiB more")
