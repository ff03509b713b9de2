"""What is measured of every contender, by turns: first views, repeated requests, and a crowd on a small machine."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from loadtest.servers.groups import memory_group
from tests.benchmarks.peers import process_tree
from tests.benchmarks.peers.contenders import WIDTHS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.peers.contenders import Contender, Endpoint
    from tests.benchmarks.pipeline.photographs import Photograph

FIRST = 800
"""Pixels. The width that a page requests first."""

QUIET_SECONDS, QUIET_SHARE, MOST_QUIET_SECONDS = 0.1, 0.05, 20.0
"""A contender has finished when it used less than this share of a processor for so long; waited for at most so long."""

REQUEST_SECONDS = 60.0
WARM_UP = 10_000_000
"""The number of the first key of views that are not counted."""
MACHINE_BYTES = 256 << 20
CROWD_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstView:
    """One page of four sizes of a photograph that the contender has not rendered yet; the first request is for 800.

    `page_cpu_seconds` are those of all four, `cpu_seconds` of what the first request alone set off.
    """

    contender: str
    photo: str
    first_byte_seconds: float
    cpu_seconds: float
    page_cpu_seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Processor time of a request that was answered before, in seconds."""

    contender: str
    kind: str
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What came of many first views at once in 256 MB; `seconds` until the last was answered."""

    contender: str
    statuses: Mapping[str, int]
    kills: int
    seconds: float


def put(photo: Path, originals: Path, number: int) -> str:
    """Put a photograph into the folder under a key of its own, and return that."""
    key = f"gall/{number}/{number}_1586986467_original{photo.suffix.lower()}"
    (originals / key).parent.mkdir(parents=True)
    shutil.copyfile(photo, originals / key)
    return key


def first_views(
    endpoints: Mapping[str, Endpoint], photos: Sequence[Photograph], originals: Path, *, rounds: int
) -> Iterator[FirstView]:
    """Yield one view of each contender and photograph in each round, by turns, so that all meet the same noise.

    One view of each is made before that, and not counted.
    """
    for number, (name, endpoint) in enumerate(endpoints.items()):
        _first_view(name, endpoint, photos[0], put(photos[0].path, originals, WARM_UP + number))
    number = 0
    for _ in range(rounds):
        for photo in photos:
            for name, endpoint in endpoints.items():
                number += 1
                key = put(photo.path, originals, number)
                yield _first_view(name, endpoint, photo, key)


def median_views(views: Sequence[FirstView]) -> dict[tuple[str, str], FirstView]:
    """Return, for each contender and photograph, the medians of the rounds."""
    grouped: dict[tuple[str, str], list[FirstView]] = defaultdict(list)
    for view in views:
        grouped[view.contender, view.photo].append(view)
    return {
        (contender, photo): FirstView(
            contender=contender,
            photo=photo,
            first_byte_seconds=statistics.median(one.first_byte_seconds for one in each),
            cpu_seconds=statistics.median(one.cpu_seconds for one in each),
            page_cpu_seconds=statistics.median(one.page_cpu_seconds for one in each),
            bytes=each[0].bytes,
        )
        for (contender, photo), each in grouped.items()
    }


def fetch(endpoint: Endpoint, key: str) -> bytes:
    """Return a photograph at 800 pixels."""
    with httpx.Client(timeout=REQUEST_SECONDS, follow_redirects=True) as client:
        return client.get(endpoint.address(key, FIRST)).raise_for_status().content


def repeated(
    endpoints: Mapping[str, Endpoint], key: str, *, rounds: int, requests: int, kinds: Sequence[str] = ("200", "304")
) -> list[Repeated]:
    """Return the median processor time of repeated requests for one picture over one connection, by turns."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, endpoint in endpoints.items():
            for kind in kinds:
                with_etag = kind == str(HTTPStatus.NOT_MODIFIED.value)
                seconds = _repeat(endpoint, endpoint.address(key, FIRST), int(kind), requests, with_etag=with_etag)
                if seconds is not None:
                    spent[name, kind].append(seconds)
    return [
        Repeated(contender=name, kind=kind, cpu_seconds=statistics.median(each)) for (name, kind), each in spent.items()
    ]


def crowd(contender: Contender, photo: Path, originals: Path, *, views: int) -> Crowd:
    """Request so many photographs at once from a contender in a memory control group of 256 MB.

    Raises:
        CannotMakeGroups: this process may not create control groups.
    """
    keys = [put(photo, originals, number) for number in range(views)]
    with memory_group(MACHINE_BYTES) as group, contender.started(originals, group.entry) as endpoint:
        began = time.monotonic()
        statuses = asyncio.run(_all_at_once([endpoint.address(key, FIRST) for key in keys]))
        seconds = time.monotonic() - began
        return Crowd(contender=contender.name, statuses=Counter(statuses), kills=group.kills(), seconds=seconds)


async def _all_at_once(urls: Sequence[str]) -> list[str]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=CROWD_SECONDS, limits=limits, follow_redirects=True) as client:

        async def status(url: str) -> str:
            try:
                return str((await client.get(url)).status_code)
            except httpx.TransportError:
                return "no answer"

        return await asyncio.gather(*map(status, urls))


def _first_view(name: str, endpoint: Endpoint, photo: Photograph, key: str) -> FirstView:
    with httpx.Client(timeout=REQUEST_SECONDS, follow_redirects=True) as client:
        _settle(endpoint)
        before, began = process_tree.cpu_seconds(endpoint.pid), time.perf_counter()
        with client.stream("GET", endpoint.address(key, FIRST)) as answer:
            answer.raise_for_status()
            chunks = answer.iter_raw()
            size = len(next(chunks))
            first_byte_seconds = time.perf_counter() - began
            size += sum(map(len, chunks))
        _settle(endpoint)
        first = process_tree.cpu_seconds(endpoint.pid) - before
        for width in set(WIDTHS.values()) - {FIRST}:
            client.get(endpoint.address(key, width)).raise_for_status()
        _settle(endpoint)
    return FirstView(
        contender=name,
        photo=photo.name,
        first_byte_seconds=first_byte_seconds,
        cpu_seconds=first,
        page_cpu_seconds=process_tree.cpu_seconds(endpoint.pid) - before,
        bytes=size,
    )


def _settle(endpoint: Endpoint) -> None:
    deadline, before = time.monotonic() + MOST_QUIET_SECONDS, process_tree.cpu_seconds(endpoint.pid)
    while time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        now = process_tree.cpu_seconds(endpoint.pid)
        if now - before < QUIET_SECONDS * QUIET_SHARE:
            return
        before = now


def _repeat(endpoint: Endpoint, url: str, status: int, requests: int, *, with_etag: bool) -> float | None:
    """Return the processor time of one request; None if the contender does not answer with that status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=REQUEST_SECONDS)
    headers: dict[str, str] = {}
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        answer.read()
        if with_etag:
            headers = {"If-None-Match": answer.getheader("ETag", "")}
        before = process_tree.cpu_seconds(endpoint.pid)
        for _ in range(requests):
            connection.request("GET", parts.path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != status:
                return None
        return (process_tree.cpu_seconds(endpoint.pid) - before) / requests
    finally:
        connection.close()
