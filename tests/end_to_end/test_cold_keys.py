"""Many page views of one original that nothing was made of yet, at the same moment."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.service import Service, on_bucket, running, started
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.anyio

CALLERS = 100
LOOKS = 1 + 1 + 1
"""At the size that is asked for; at the original, before and after the writes."""
KEY = "cold/1_original.jpg"
SIZES = ("small", "medium", "large", "xlarge")


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("weed")) as one:
        yield one


PUT_NEW = 'store_seconds_count{operation="put_new"}'


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    paint(path, Photograph(width=4000, height=3000))
    return path


def series(service: Service, name: str) -> float:
    """Read one series, named with its labels as Prometheus reads it."""
    lines = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


def calls(service: Service, operation: str) -> int:
    return int(series(service, f'store_seconds_count{{operation="{operation}"}}'))


def renders(service: Service) -> int:
    return int(series(service, 'render_seconds_count{format="jpeg"}'))


async def ask_all(services: Sequence[Service], key: str, size: str) -> list[httpx.Response]:
    """Ask for one size as often as there are callers, all at once, by turns at the services."""
    limits = httpx.Limits(max_connections=CALLERS)
    async with httpx.AsyncClient(timeout=60, limits=limits, follow_redirects=True) as client:
        urls = [f"{services[number % len(services)].url}/img/{key}/{size}" for number in range(CALLERS)]
        return await asyncio.gather(*map(client.get, urls))


@pytest.mark.parametrize("delivery", ["redirect", "stream"])
async def test_a_hundred_callers_cost_one_fetch_one_render_and_a_write_a_size(
    photo: Path, tmp_path: Path, delivery: str, record_property: Callable[[str, object], None]
) -> None:
    # A streamed size is opened at once; it is looked up only for those who ask while it is being opened.
    least = LOOKS - (delivery == "stream")
    with running(tmp_path, DELIVERY=delivery) as service:
        service.put(KEY, photo)
        answers = await ask_all([service], KEY, "medium")

        async def others_are_stored_and_the_last_look_was() -> bool:
            return calls(service, "put") >= len(SIZES) and calls(service, "head") >= least and renders(service) > 0

        await until(others_are_stored_and_the_last_look_was)
        cost = (calls(service, "fetch"), renders(service), calls(service, "put"))
        looks = calls(service, "head")
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert cost == (1, 1, len(SIZES))
        assert least <= looks <= LOOKS + 1  # one more if the other uploads begin more than a second later
    record_property(
        "counts", f"callers {CALLERS}, fetches {cost[0]}, renders {cost[1]}, writes {cost[2]}, looks {looks}"
    )


async def test_two_machines_on_one_bucket_render_twice_at_most_and_write_each_size_once(
    weed: seaweed.Seaweed, photo: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    settings = on_bucket(weed, seaweed.ADMIN, CONDITIONAL_WRITES="true")
    with ExitStack() as machines:
        both = [Service(folder=tmp_path / name, settings=settings, weed=weed) for name in ("one", "two")]
        for service in both:
            service.folder.mkdir()
            machines.enter_context(started(service))
        both[0].put(KEY, photo)
        answers = await ask_all(both, KEY, "large")

        async def others_are_stored() -> bool:
            tried, lost = (sum(series(each, name) for each in both) for name in (PUT_NEW, "writes_lost_total"))
            return tried - lost == len(SIZES)

        await until(others_are_stored)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        rendered = sum(map(renders, both))
        tried = sum(calls(service, "put_new") for service in both)
        lost = sum(int(series(service, "writes_lost_total")) for service in both)
        assert rendered <= len(both)
        assert tried - lost == len(SIZES)
        assert sum(calls(service, "put") for service in both) == 0
    record_property("counts", f"callers {CALLERS}, machines 2, renders {rendered}, visible writes {tried - lost}")
