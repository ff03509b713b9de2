"""Facts reach signed requests and signed callbacks, and nothing else that the service writes or sends."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from loadtest.servers import seaweed
from loadtest.servers.receiver import receiving
from loadtest.servers.service import on_bucket, order, running, signed
from tests.pipeline.rendering import CORPUS, UNREADABLE, needs_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadtest.servers.receiver import Receiver
    from loadtest.servers.service import Service

HIDDEN = re.compile(
    r"(SerialNumber|OwnerName|Artist|By-line|dc:Creator|CopyrightNotice|IFD0:Copyright|dc:Rights|Caption-Abstract"
    r"|dc:Description|ImageDescription|UserComment|City|Sub-location|Country|Province|ImageUniqueID|XPAuthor)$"
)
"""The tags whose values no visitor may get, beside positions."""

PLACEHOLDERS = {"unknown"}
"""What names nothing, and is a word of the metrics."""

LEAST_CHARACTERS, LEAST_DIGITS = 6, 8
"""Shorter values occur by chance, as do few digits in times and sizes."""

ON_BUCKET = 4
"""The photographs that are stored in a bucket: the smallest, because the search is the same."""

METADATA_BYTES = 2000
"""What S3 stores of the names and values of an object's metadata."""

NAMES = {'"latitude"', '"taken_at"', '"creator"'}
"""Names of facts, which occur only where facts are."""


def hidden(tags: dict[str, Any]) -> set[str]:
    """Return the values of one file that must stay hidden, as texts."""
    found = set()
    for name, value in tags.items():
        if re.search(r"Composite:GPS(Latitude|Longitude)$", name) and isinstance(value, float):
            found.add(f"{abs(value):.7f}"[:-1])
        elif HIDDEN.search(name):
            found |= {str(one).strip() for one in (value if isinstance(value, list) else [value])}
    return {
        text
        for text in found
        if len(text) >= (LEAST_DIGITS if text.isdecimal() else LEAST_CHARACTERS)
        and text.strip("0 -.")
        and text not in PLACEHOLDERS
    }


def secretive() -> dict[Path, set[str]]:
    """Return the photographs of the corpus with values that must stay hidden."""
    command = ["exiftool", "-n", "-json", "-G1", "-a", str(CORPUS / "photos")]
    read = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    found = {CORPUS / "photos" / tags["SourceFile"].rpartition("/")[2]: hidden(tags) for tags in read}
    return {path: values for path, values in sorted(found.items()) if values and path.name not in UNREADABLE}


def post(client: httpx.Client, key: str, callback_url: str) -> str:
    body = order(key, callback_url=callback_url)
    answer = client.post("/v1/jobs", content=body, headers=signed(body))
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["id"])


def signed_facts(client: httpx.Client, address: str) -> dict[str, Any]:
    """Return the facts of an original; a machine that is too busy is requested again."""
    answer = None
    for _ in range(5):
        answer = client.get(address, headers=signed(f"GET {address}".encode()))
        if answer.status_code not in (httpx.codes.GATEWAY_TIMEOUT, httpx.codes.SERVICE_UNAVAILABLE):
            break
    assert answer is not None
    assert answer.status_code == httpx.codes.OK, answer.text
    facts: dict[str, Any] = answer.json()
    return facts


def visible(client: httpx.Client, key: str, job_id: str) -> Iterator[tuple[str, bytes]]:
    """Yield what a visitor gets about one original, with the headers."""
    small = key.replace("original", "small")
    for path in (
        f"/v1/jobs/{job_id}",
        f"/img/{key}/small",
        f"/img/{key}/full",
        f"/v1/images/{key}",
        f"/files/{small}",
        f"/v1/facts/{key}",
        "/readyz",
        "/healthz",
    ):
        for method in ("GET", "HEAD"):
            answer = client.request(method, path, follow_redirects=True)
            yield f"{method} {path}", answer.content + str(answer.headers).encode()
    yield (
        "a forged signature",
        client.get(f"/v1/facts/{key}", headers={"webhook-signature": "v1,x"}).content,
    )


def kept(service: Service, originals: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield what the service has written: its log, its queue, and every object of its store but the originals."""
    if service.weed is not None:
        yield from objects(service.weed, originals)
    for path in sorted(service.folder.rglob("*")):
        name = str(path.relative_to(service.folder))
        if path.is_file() and name.removeprefix("store/") not in originals:
            yield name, path.read_bytes()
    yield "metrics", httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics").content


def objects(weed: seaweed.Seaweed, originals: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each object of the public bucket but the originals: its body, its metadata and its headers for visitors."""
    client = weed.client()
    listed = client.list_objects_v2(Bucket=seaweed.PUBLIC_BUCKET)
    assert not listed["IsTruncated"]
    for key in {one["Key"] for one in listed["Contents"]} - originals:
        stored = client.get_object(Bucket=seaweed.PUBLIC_BUCKET, Key=key)
        metadata = stored["Metadata"]
        assert sum(len(name) + len(value) for name, value in metadata.items()) <= METADATA_BYTES, key
        yield f"object {key}", stored["Body"].read()
        yield f"metadata of {key}", json.dumps(metadata).encode()
        yield f"headers of {key}", str(stored["ResponseMetadata"]["HTTPHeaders"]).encode()
        public = httpx.get(f"{weed.url}/{seaweed.PUBLIC_BUCKET}/{key}")
        assert public.is_success
        yield f"public headers of {key}", str(public.headers).encode()


@needs_corpus
@pytest.mark.needs("exiftool", "libimage-exiftool-perl")
def test_no_place_serial_or_owner_is_anywhere_but_in_signed_facts(tmp_path: Path) -> None:
    photographs = secretive()
    assert len(photographs) >= 20
    assert sum(value.encode() in path.read_bytes() for path, values in photographs.items() for value in values) >= 20
    with (
        receiving() as receiver,
        running(tmp_path / "service", weed=None, **settings(tmp_path, receiver)) as service,
    ):
        places = searched(service, receiver, photographs)
    assert places >= 12


@needs_corpus
@pytest.mark.needs("exiftool", "libimage-exiftool-perl")
def test_none_of_them_is_in_a_bucket_its_metadata_or_its_headers(tmp_path: Path) -> None:
    smallest = sorted(secretive().items(), key=lambda one: one[0].stat().st_size)[:ON_BUCKET]
    (tmp_path / "weed").mkdir()
    with (
        receiving() as receiver,
        seaweed.running(tmp_path / "weed") as weed,
        running(
            tmp_path / "service", weed=weed, **on_bucket(weed, seaweed.ADMIN, **settings(tmp_path, receiver))
        ) as service,
    ):
        assert searched(service, receiver, dict(smallest)) >= 1


def settings(folder: Path, receiver: Receiver) -> dict[str, str]:
    """Return the settings of a service with a small and a full size that sends its callbacks to `receiver`."""
    sizes = folder / "sizes.toml"
    sizes.write_text("[sizes.small]\nwidth = 300\n[sizes.full]\nstrip_only = true\n")
    return {"CALLBACK_HOSTS": receiver.listed, "SIZES_FILE": str(sizes), "LOG_LEVEL": "DEBUG"}


def searched(service: Service, receiver: Receiver, photographs: dict[Path, set[str]]) -> int:
    """Render photographs, search all that is visible and kept for their hidden values; return how many have a place."""
    keys = {f"gall/{n}/{n}_1_original{path.suffix}": path for n, path in enumerate(photographs)}
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for key, path in keys.items():
            service.put(key, path)
        jobs = {post(client, key, receiver.url): key for key in keys}
        assert receiver.wait_for(set(jobs), seconds=400)
        called = {one.event.data["key"]: one.event.data["facts"] for one in receiver.taken()}
        asked = {key: signed_facts(client, f"/v1/facts/{key}") for key in keys}
        found = [
            (where, value)
            for job_id, key in jobs.items()
            for where, content in visible(client, key, job_id)
            for value in photographs[keys[key]] | NAMES
            if value.encode() in content
        ]
    every = NAMES.union(*photographs.values())
    stored = [*kept(service, set(keys))]
    found += [
        (where, value)
        for where, content in stored
        for value in every
        if value.encode() in content or value.encode("utf-16-le") in content
    ]
    unread = service.log.read_text().count("callback_facts_unread")
    assert found == []
    assert sum("_full." in where for where, _ in stored) >= len(keys) - 1
    assert {key: facts or asked[key] for key, facts in called.items()} == asked
    assert [*called.values()].count(None) == unread  # of a machine that was too busy
    assert unread < len(called) / 2
    with_place = [key for key, facts in asked.items() if facts["place"]]
    print(f"{len(keys)} photographs, {len(every)} hidden values, {len(with_place)} places")  # noqa: T201 - asked for
    return len(with_place)
