"""`callback_url` of `/v1/jobs`: a receiver is called when the job has ended."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
import pytest
from saq.job import Status

from loadtest.servers.receiver import receiving
from loadtest.servers.service import order
from loadtest.servers.service import signed as sign
from proxy.queues.factory import open_queue
from tests.proxy.http.conftest import KEY, SECRET, Site, serving
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from loadtest.servers.receiver import Receiver

pytestmark = pytest.mark.anyio


async def post(site: Site, callback_url: str) -> httpx.Response:
    body = order(KEY, callback_url=callback_url)
    return await site.client.post("/v1/jobs", content=body, headers=sign(body, secret=SECRET))


async def end_the_next_job(folder: Path) -> None:
    """Complete the next job in the queue without its callback, like a worker that is killed right afterwards."""
    queue = open_queue(f"sqlite:////{folder}/queue.db", name="derivatives")
    await queue.connect()
    job = await queue.dequeue(timeout=5)
    assert job is not None
    await job.finish(Status.COMPLETE, result={})
    await queue.disconnect()


async def told(receiver: Receiver, *, times: int = 1) -> None:
    async def look() -> bool:
        return len(receiver.taken()) >= times

    await until(look)


async def test_the_end_of_a_job_is_told_as_its_record_is_read(tmp_path: Path) -> None:
    with receiving(secret=SECRET) as receiver:
        async with serving(tmp_path, callback_hosts=receiver.listed) as site:
            site.upload()
            answer = await post(site, receiver.url)
            assert answer.status_code == 202
            await told(receiver)
            record = (await site.client.get(answer.headers["location"])).json()
            record["callback"] = None  # how far it is, the callback itself cannot know
    (got,) = receiver.received
    facts = got.event.data.pop("facts")
    assert (got.event.type, got.event.data, receiver.forged) == ("job.done", record, 0)
    assert (facts["key"], facts["camera"]["model"]) == (KEY, "Gall Camera")
    assert got.event.timestamp == record["finished_at"]


async def test_callbacks_are_signed_with_their_own_secrets_which_sign_no_job(tmp_path: Path) -> None:
    own = "whsec_" + base64.b64encode(b"one of 24 bytes for callbacks").decode()
    with receiving(secret=own) as receiver:
        async with serving(tmp_path, callback_hosts=receiver.listed, callback_secrets=own) as site:
            site.upload()
            body = order(KEY, callback_url=receiver.url)
            refused = await site.client.post("/v1/jobs", content=body, headers=sign(body, secret=own))
            assert refused.status_code == HTTPStatus.UNAUTHORIZED
            assert (await post(site, receiver.url)).status_code == HTTPStatus.ACCEPTED
            await told(receiver)
    assert receiver.forged == 0


@pytest.mark.slow
async def test_a_callback_outlives_a_restart_of_the_whole_service(tmp_path: Path) -> None:
    with receiving(secret=SECRET) as receiver:
        async with serving(tmp_path, callback_hosts="example.org") as site:
            answer = await post(site, "https://example.org/")  # on this list, but never called in this test
            assert answer.status_code == 202
        async with serving(tmp_path, callback_hosts=receiver.listed) as site:
            site.upload()
            assert (await post(site, receiver.url)).status_code == 202
        async with serving(tmp_path, callback_hosts=receiver.listed):
            await told(receiver)


async def test_an_end_is_told_although_its_worker_died_and_the_job_was_replayed(tmp_path: Path) -> None:
    with receiving(secret=SECRET) as receiver:
        async with serving(tmp_path, callback_hosts=receiver.listed, workers=0) as site:
            site.upload()
            location = (await post(site, receiver.url)).headers["location"]
            await end_the_next_job(tmp_path)
            replay = await site.client.post(
                f"{location}/replay", headers=sign(f"POST {location}/replay".encode(), secret=SECRET)
            )
            assert replay.status_code == HTTPStatus.ACCEPTED  # the first callback may or may not have been delivered
        async with serving(tmp_path, callback_hosts=receiver.listed):
            await told(receiver, times=2)
    assert len({one.id for one in receiver.received}) == 2


@pytest.fixture(scope="module", params=["", "hooks.example.org"])
async def choosy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A service that calls nobody, or somebody else."""
    async with serving(tmp_path_factory.mktemp("choosy"), callback_hosts=request.param) as one:
        yield one


@pytest.mark.parametrize(
    "url", ["https://example.org/", "http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data", "ftp://a", "a"]
)
async def test_a_callback_url_that_is_not_listed_is_refused_with_the_settings_name(choosy: Site, url: str) -> None:
    answer = await post(choosy, url)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-callback")
    assert "CALLBACK_HOSTS" in answer.json()["detail"] or "://" not in url or url.startswith("ftp")
    assert (await choosy.client.get("/healthz")).is_success


@pytest.mark.parametrize("url", [None, 1, ["https://example.org/"], "https://example.org/" + "a" * 2048])
async def test_a_callback_url_of_another_kind_is_a_fault_of_the_order(site: Site, url: object) -> None:
    body = msgspec.json.encode({"key": KEY, "callback_url": url})
    answer = await site.client.post("/v1/jobs", content=body, headers=sign(body, secret=SECRET))
    assert answer.status_code == 400
    assert [fault.partition(":")[0] for fault in answer.json()["errors"]] == ["callback_url"]


async def test_an_order_without_a_callback_needs_no_list(site: Site) -> None:
    assert (await post(site, "")).status_code == 202


async def operate(site: Site, address: str) -> None:
    signature = sign(f"POST {address}".encode(), secret=SECRET)
    assert (await site.client.post(address, headers=signature)).is_success


async def test_the_callback_of_a_cancelled_job_reports_that(tmp_path: Path) -> None:
    with receiving(secret=SECRET) as receiver:
        async with serving(tmp_path, callback_hosts=receiver.listed) as site:
            await operate(site, "/v1/queue/pause")
            location = (await post(site, receiver.url)).headers["location"]
            await operate(site, f"{location}/cancel")
            await told(receiver)
    (got,) = receiver.received
    assert (got.event.type, got.event.data["error"]["code"]) == ("job.error", "cancelled")


async def test_a_job_does_not_reveal_the_private_address_of_its_receiver(tmp_path: Path) -> None:
    async with serving(tmp_path, callback_hosts="http://localhost:1") as site:
        site.upload()
        location = (await post(site, "http://localhost:1/hook?token=1")).headers["location"]

        async def tried() -> str | None:
            answer = await site.client.get(location)
            callback = answer.json()["callback"]
            return answer.text if callback["status"] == "retrying" else None

        record = await until(tried)
    assert "a private address that CALLBACK_HOSTS does not list" in record
    assert '"host":"localhost:1"' in record
    assert all(hidden not in record for hidden in ("127.0.0.1", "::1", "token", "hook"))
