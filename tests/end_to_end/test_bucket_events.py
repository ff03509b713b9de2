"""A real SeaweedFS sends the events of its filer to the service, through a relay that may lose their order."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.ports import free_port
from loadtest.servers.seaweed import ADMIN, PUBLIC_BUCKET
from loadtest.servers.service import Service, on_bucket, signed, started
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botocore.client import BaseClient

pytestmark = pytest.mark.anyio

TOKEN = "token-of-the-filer"
UNDONE = (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE)
"""What the service answers if the sender has to send an event again, as on a machine that is very busy."""

SIZES = ("small", "medium", "large", "xlarge")


@dataclass
class Relay:
    """A relay between the filer and the service. It records every event, and forwards those that a test chooses."""

    service_url: str
    is_open: bool = True
    """Whether events are handed on at once."""
    bodies: list[bytes] = field(default_factory=list)
    """Every event that came, in order."""
    answers: list[int] = field(default_factory=list)
    """The status of every answer of the service."""

    def take(self, body: bytes, authorization: str) -> int:
        """Take an event of the filer; return the status for it."""
        self.bodies.append(body)
        return self.deliver(body, authorization) if self.is_open else httpx.codes.OK

    def deliver(self, body: bytes, authorization: str = f"Bearer {TOKEN}") -> int:
        """Hand an event on, and return the status of the answer."""
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        try:
            answer = httpx.post(f"{self.service_url}/v1/events/s3", content=body, headers=headers, timeout=30)
        except httpx.TransportError:  # the service starts after the filer, and ends before it
            return httpx.codes.SERVICE_UNAVAILABLE
        self.answers.append(answer.status_code)
        return answer.status_code


@contextmanager
def relaying(relay: Relay, port: int) -> Iterator[None]:
    class Receiving(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(relay.take(body, self.headers["Authorization"]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Receiving)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Town:
    """The service, its bucket, and the relay between them."""

    service: Service
    weed: seaweed.Seaweed
    relay: Relay
    s3: BaseClient
    photos: list[Path]

    def put(self, key: str, photo: int = 0) -> None:
        self.s3.put_object(Bucket=PUBLIC_BUCKET, Key=key, Body=self.photos[photo].read_bytes())

    def rename(self, key: str, target: str) -> None:
        """Rename a file in the filer: S3 has no such request."""
        filer = f"http://{self.weed.beside('filer')}/buckets/{PUBLIC_BUCKET}/"
        former = {"mv.from": f"/buckets/{PUBLIC_BUCKET}/{key}"}
        httpx.post(f"{filer}{quote(target)}", params=former).raise_for_status()

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=PUBLIC_BUCKET, Prefix=prefix)
        return sorted(one["Key"] for one in listed.get("Contents", []))

    def made_from(self, key: str) -> set[str]:
        """Return the ETags of the originals from which the derivatives were rendered; some may be missing."""
        made: set[str] = set()
        for size in SIZES:
            try:
                head = self.s3.head_object(Bucket=PUBLIC_BUCKET, Key=key.replace("original", size))
            except self.s3.exceptions.ClientError:
                return {"missing"}
            made.add(head["Metadata"]["original-etag"])
        return made

    async def until_rendered(self, key: str) -> None:
        """Wait until every derivative is that of the original as it is now."""

        async def look() -> bool | None:
            etag = self.s3.head_object(Bucket=PUBLIC_BUCKET, Key=key)["ETag"].strip('"')
            return self.made_from(key) == {etag} or None

        await until(look)

    async def until_purged(self, prefix: str) -> None:
        """Wait until nothing is left below a prefix."""

        async def look() -> bool | None:
            return not self.keys(prefix) or None

        await until(look)

    def jobs(self) -> list[str]:
        """Return the keys of all jobs."""
        address = "/v1/jobs?limit=100"
        headers = signed(f"GET {address}".encode())
        return [job["key"] for job in httpx.get(f"{self.service.url}{address}", headers=headers).json()["jobs"]]

    async def until_handled(self, body: bytes) -> None:
        """Hand an event on, and do so again for as long as the service asks for it, as the filer does."""

        async def look() -> bool | None:
            return self.relay.deliver(body) == httpx.codes.OK or None

        await until(look)

    async def until_noted(self, text: str) -> None:
        """Wait until the filer has reported something with a text."""

        async def look() -> bool | None:
            return any(text.encode() in body for body in self.relay.bodies) or None

        await until(look)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder, port = tmp_path_factory.mktemp("town"), free_port()
    photos = [folder / f"{number}.jpg" for number in range(3)]
    for number, photo in enumerate(photos):
        paint(photo, Photograph(width=200, height=150, seed=number, noise=4))
    service = Service(folder=folder)
    relay = Relay(service.url)
    target = seaweed.EventTarget(f"http://127.0.0.1:{port}/", TOKEN)
    with relaying(relay, port), seaweed.running(tmp_path_factory.mktemp("weed"), events_to=target) as weed:
        service.weed = weed
        service.settings = on_bucket(weed, ADMIN, EVENTS_TOKEN=TOKEN, EVENTS_REMOVE="true")
        with started(service):
            yield Town(service, weed, relay, weed.client(), photos)


async def test_every_way_of_writing_and_removing_an_original_does_what_is_due_once(town: Town) -> None:
    prefix = "gall/a b+c%é"
    key, parts, copy, renamed = (f"{prefix}/{name}_original.jpg" for name in ("put", "parts", "copy", "renamed"))
    town.put(key)
    await town.until_rendered(key)

    upload = town.s3.create_multipart_upload(Bucket=PUBLIC_BUCKET, Key=parts)["UploadId"]
    part = town.s3.upload_part(
        Bucket=PUBLIC_BUCKET, Key=parts, UploadId=upload, PartNumber=1, Body=town.photos[1].read_bytes()
    )
    town.s3.complete_multipart_upload(
        Bucket=PUBLIC_BUCKET,
        Key=parts,
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    await town.until_rendered(parts)

    town.s3.copy_object(Bucket=PUBLIC_BUCKET, Key=copy, CopySource={"Bucket": PUBLIC_BUCKET, "Key": key})
    await town.until_rendered(copy)

    town.put(key, photo=2)
    await town.until_rendered(key)

    town.rename(copy, renamed)
    await town.until_rendered(renamed)
    await town.until_purged(copy.removesuffix("_original.jpg"))

    # One job for each time, although the filer has reported every derivative too, and every part.
    assert sorted(town.jobs()) == sorted([key, key, parts, copy, renamed])
    for gone in (key, parts, renamed):
        town.s3.delete_object(Bucket=PUBLIC_BUCKET, Key=gone)
    await town.until_purged(prefix)
    assert len(town.jobs()) == 5
    assert {*town.relay.answers} <= {httpx.codes.OK, *UNDONE}


async def test_events_that_come_late_twice_and_in_any_order_end_in_the_same_state(town: Town) -> None:
    kept, gone = "gall/order/kept_original.jpg", "gall/order/gone_original.jpg"
    town.relay.is_open, first = False, len(town.relay.bodies)
    try:
        for photo in range(3):
            town.put(kept, photo)
            town.put(gone, photo)
        town.s3.delete_object(Bucket=PUBLIC_BUCKET, Key=kept)
        town.put(kept, photo=1)
        town.s3.delete_object(Bucket=PUBLIC_BUCKET, Key=gone)
        town.put("gall/order/last", photo=0)
        await town.until_noted("gall/order/last")
        events = town.relay.bodies[first:]
        dice = random.Random(1)  # noqa: S311 - a reproducible order, not cryptography
        for _ in range(2):
            for body in dice.sample(events, k=len(events)):
                await town.until_handled(body)
            await town.until_rendered(kept)
    finally:
        town.relay.is_open = True
    assert town.keys("gall/order/gone") == []
    jobs = [key for key in town.jobs() if key.startswith("gall/order/")]
    assert {*jobs} == {kept}
    for body in dice.sample(events, k=len(events)):
        await town.until_handled(body)
    assert [key for key in town.jobs() if key.startswith("gall/order/")] == jobs
