"""Request ids, log lines and metrics of every request, and the bound on metrics' labels."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
import uvicorn
from prometheus_client import REGISTRY

from loadtest.servers.service import order, signed
from proxy.cli.serve import Server
from proxy.http.protocol.connection import BoundedProtocol
from proxy.http.protocol.connections import Connections
from proxy.http.protocol.middleware import middleware
from tests.proxy.http.conftest import KEY, SECRET, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestar.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio

KEYS, FIRST_KEYS = 10_000, 1_000
"""The first keys fill the queue and cause every kind of response."""


def series() -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Return every time series of the registry, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())) for family in REGISTRY.collect() for sample in family.samples
    }


def addresses(dice: random.Random) -> Iterator[tuple[str, str]]:
    """Yield requests to every route, with keys that were never used before."""
    while True:
        alphabet = dice.choice(("abcdefghijklmnopqrstuvwxyz0123456789", "abc/%.-_0123"))
        name = f"{''.join(dice.choices(alphabet, k=dice.randint(1, 60)))}_original.jpg"
        yield "GET", f"/img/gall/{dice.getrandbits(64)}_original.jpg/small"
        yield "GET", f"/img/gall/{dice.getrandbits(64)}_original.jpg/{dice.getrandbits(32)}"
        yield dice.choice(("GET", "HEAD", "POST", "DELETE", "BREW")), f"/img/{name}"
        yield "GET", f"/files/{name}"
        yield "GET", f"/v1/jobs/{dice.getrandbits(128):032x}"
        yield "GET", f"/v1/jobs?status={dice.getrandbits(32)}"
        yield "DELETE", f"/v1/derivatives/{name}"
        yield "PUT", f"/{name}"
        yield "POST", "/v1/jobs"


async def ask(site: Site, *, times: int, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - names, no secrets
    asked = addresses(dice)
    for _ in range(times):
        method, address = next(asked)
        if method == "POST" and address == "/v1/jobs":
            body = order(f"gall/{dice.getrandbits(64)}_original.jpg")
            await site.client.post(address, content=body, headers=signed(body, secret=SECRET))
        else:
            await site.client.request(method, address)


@pytest.mark.slow
async def test_ten_thousand_random_keys_make_no_new_series(own_site: Site) -> None:
    own_site.upload()
    assert (await own_site.client.get(f"/img/{KEY}/small")).status_code == 302
    await ask(own_site, times=FIRST_KEYS, seed=1)
    await own_site.client.put("/")  # a method that the front page does not have: no route counts it
    before = series()
    await ask(own_site, times=KEYS, seed=2)
    assert series() == before


async def test_the_id_of_a_request_is_on_its_line_and_in_its_answer_an_error_too(site: Site) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answer = await site.client.get(
            "/img/gall/1_original.jpg/small?token=sesame", headers={"x-request-id": "trace-2"}
        )
    (line,) = [line for line in lines if line["event"] == "request"]
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == line["request_id"] == "trace-2"
    assert (line["path"], line["status"], line["log_level"]) == ("/img/gall/1_original.jpg/small", 404, "info")
    assert line["milliseconds"] > 0
    assert "sesame" not in str(lines)


async def test_a_request_without_an_id_gets_one(site: Site) -> None:
    first, second = [(await site.client.get("/nowhere")).headers["x-request-id"] for _ in range(2)]
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


async def test_what_fails_here_is_logged_as_a_warning(own_site: Site) -> None:
    (own_site.store / "gall").symlink_to("gall")
    with structlog.testing.capture_logs() as lines:
        answer = await own_site.client.get(f"/img/{KEY}/small")
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (answer.status_code, line["status"], line["log_level"]) == (502, 502, "warning")
    assert line["code"].startswith("store-")
    assert "symbolic link" in line["detail"]


async def test_a_line_of_a_failed_request_has_its_reason_and_where_its_time_went(site: Site) -> None:
    """Of every error, whoever refuses it: the framework, a route, a mount."""
    calls = {
        ("GET", "/img/gall/1_original.jpg/small"): "not-found",
        ("GET", "/img/gall/1_original.jpg/huge"): "unknown-size",
        ("GET", "/img//small"): "bad-key",
        ("GET", "/v1/images/gall/1_original.jpg"): "not-found",
        ("GET", "/v1/jobs/0"): "unknown-job",
        ("GET", "/v1/jobs?stauts=error&token=sesame"): "bad-request",
        ("POST", "/v1/jobs?token=sesame"): "bad-request",
        ("GET", "/nowhere?token=sesame"): "not-found",
        ("PUT", "/v1/jobs"): "method-not-allowed",
        ("GET", "/v1/facts/gall/1_original.jpg"): "bad-signature",
    }
    with structlog.testing.capture_logs() as lines:
        answers = [await site.client.request(*call) for call in calls]
    told = [line for line in lines if line["event"] == "request"]
    assert [line["code"] for line in told] == [*calls.values()], told
    assert [line["status"] for line in told] == [answer.status_code for answer in answers]
    assert all(str(line["detail"]).endswith(".") for line in told), told
    for line in told:
        assert all(line[f"{part}_seconds"] >= 0 for part in ("store", "wait", "render"))
    assert told[0]["store_seconds"] + told[3]["store_seconds"] > 0
    assert "sesame" not in str(lines)


async def test_a_line_of_a_successful_request_has_no_reason(own_site: Site) -> None:
    own_site.upload()
    with structlog.testing.capture_logs() as lines:
        await own_site.client.get(f"/img/{KEY}/small")
    (line,) = [line for line in lines if line["event"] == "request"]
    assert {*line} == {"event", "log_level", "method", "path", "route", "status", "milliseconds"}


async def test_a_detail_of_any_length_is_logged_up_to_a_thousand_characters(site: Site) -> None:
    with structlog.testing.capture_logs() as lines:
        await site.client.get("/v1/jobs", params=dict.fromkeys((f"unknown{number}" for number in range(100)), "1"))
    (line,) = [line for line in lines if line["event"] == "request"]
    assert len(line["detail"]) == 1000


async def test_the_line_of_an_unready_service_names_what_is_missing(own_site: Site) -> None:
    own_site.store.rename(own_site.store.with_name("elsewhere"))
    with structlog.testing.capture_logs() as lines:
        answer = await own_site.client.get("/readyz")
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (answer.status_code, line["code"]) == (503, "unready")
    assert line["detail"] == " ".join(answer.json()["missing"])


async def test_a_path_of_any_length_is_one_line_of_a_length_that_has_an_end(site: Site) -> None:
    with structlog.testing.capture_logs() as lines:
        await site.client.get(f"/img/{'x/' * 10_000}small")
    (line,) = [line for line in lines if line["event"] == "request"]
    assert len(line["path"]) == 4096


async def test_a_request_that_the_end_of_the_grace_period_cuts_off_gets_a_problem_document() -> None:
    arrived = asyncio.Event()

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        arrived.set()
        await asyncio.Event().wait()

    opened = Connections(most=10, idle_seconds=60.0)
    server = Server(
        uvicorn.Config(
            middleware(hang, fixed_headers=[]),
            http=partial(BoundedProtocol, opened, None),  # type: ignore[arg-type] # called as the class would be
            lifespan="off",
            log_config=None,
            date_header=False,
            timeout_graceful_shutdown=0,
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/jobs/x/cancel"
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with httpx.AsyncClient() as client:
            asking = asyncio.create_task(client.post(url))
            await arrived.wait()
            server.leave()
            answer = await asking
        await serving
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("5", "close")
    assert answer.json()["type"] == "/problems/busy"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
