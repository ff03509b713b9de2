"""The bucket as a site and its visitors see it, and as the service sees it: through a proxy that injects faults."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from loadtest.servers.seaweed import PUBLIC_BUCKET
from tests.proxy.stores.fault_proxy import Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadtest.servers.seaweed import Seaweed

SIZES: Final = {"small": 16, "medium": 32, "large": 48}
"""Widths so small that a render takes milliseconds."""

MISS_SECONDS, HIT_SECONDS = 1.0, 0.3
"""How long the CDN keeps a 404, and a file."""


class Bucket:
    """The bucket from outside of the service, without faults."""

    def __init__(self, weed: Seaweed) -> None:
        self._client = weed.client()

    def put(self, key: str, photo: Path) -> str:
        """Write an original, and return its ETag."""
        answer = self._client.put_object(Bucket=PUBLIC_BUCKET, Key=key, Body=photo.read_bytes())
        return str(answer["ETag"]).strip('"')

    def etag(self, key: str) -> str | None:
        """Return the ETag of an object, or None if there is none."""
        try:
            answer = self._client.head_object(Bucket=PUBLIC_BUCKET, Key=key)
        except self._client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == http.client.NOT_FOUND:
                return None
            raise
        return str(answer["ETag"]).strip('"')

    def read(self, key: str) -> bytes | None:
        """Return the bytes of an object, or None if there is none."""
        try:
            body: bytes = self._client.get_object(Bucket=PUBLIC_BUCKET, Key=key)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return None
        return body

    def remove(self, key: str) -> None:
        """Delete an object."""
        self._client.delete_object(Bucket=PUBLIC_BUCKET, Key=key)

    def copies(self, key: str) -> set[str]:
        """Return the keys of whatever there is in the folder of an original, which is that of one picture."""
        folder = key.rpartition("/")[0]
        listed = self._client.list_object_versions(Bucket=PUBLIC_BUCKET, Prefix=f"{folder}/")
        return {one["Key"] for one in (*listed.get("Versions", []), *listed.get("DeleteMarkers", []))}

    def derivatives(self, key: str) -> dict[str, str]:
        """Return the ETags of the originals from which the derivatives of an original were rendered, by size."""
        folder, original = key.rpartition("/")[0], key
        listed = self._client.list_objects_v2(Bucket=PUBLIC_BUCKET, Prefix=f"{folder}/").get("Contents", [])
        found = {}
        for name in (one["Key"] for one in listed if one["Key"] != original):
            head = self._client.head_object(Bucket=PUBLIC_BUCKET, Key=name)
            found[name.rpartition("_")[2].partition(".")[0]] = head["Metadata"].get("original-etag", "").strip('"')
        return found


class FaultyPath:
    """The way from the service to the bucket, in a thread of its own."""

    def __init__(self, port: int, *, seed: int) -> None:
        self._port, self._seed = port, seed
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[FaultyPath]:
        """Forward requests within the block."""
        thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        thread.start()
        try:
            assert self._started.wait(30)
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._ended.set)
            thread.join()
            self._loop.close()

    def set(self, fault: Fault) -> None:
        """Inject these faults from now on."""

        def change() -> None:
            self._proxy.fault = fault

        self._loop.call_soon_threadsafe(change)

    async def _run(self) -> None:
        self._ended = asyncio.Event()
        async with FaultProxy(self._port, seed=self._seed) as self._proxy:
            self.url = self._proxy.url
            self._started.set()
            await self._ended.wait()


class Cdn(ThreadingHTTPServer):
    """A cache in front of the bucket, for browsers; it also keeps for a while that a file is not there."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Get)
        self._upstream = port
        self._kept: dict[str, tuple[float, int, bytes]] = {}

    @property
    def url(self) -> str:
        """The address of the bucket for browsers."""
        return f"http://127.0.0.1:{self.server_port}/{PUBLIC_BUCKET}"

    def fetch(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body for a path, from the cache while that is fresh."""
        until, status, body = self._kept.get(path, (0.0, 0, b""))
        if time.monotonic() > until:
            upstream = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=10)
            try:
                upstream.request("GET", path)
                answer = upstream.getresponse()
                status, body = answer.status, answer.read()
            finally:
                upstream.close()
            self._kept[path] = (time.monotonic() + (HIT_SECONDS if status == 200 else MISS_SECONDS), status, body)
        return status, body


class _Get(BaseHTTPRequestHandler):
    server: Cdn

    def do_GET(self) -> None:
        status, body = self.server.fetch(self.path)
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving_cdn(port: int) -> Iterator[Cdn]:
    """Run the CDN within the block."""
    with Cdn(port) as cdn:
        thread = threading.Thread(target=cdn.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield cdn
        finally:
            cdn.shutdown()
            thread.join()
