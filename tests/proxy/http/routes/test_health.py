"""The routes for platforms, `/healthz` and `/readyz`, and the page for people, `/schema`."""

from __future__ import annotations

import msgspec
import pytest
import structlog

from loadtest.servers.service import signed
from proxy import metrics
from tests.expressions import rules
from tests.held import no_file_above
from tests.proxy.http.conftest import KEY, SECRET, Site
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_it_is_alive_and_ready(site: Site) -> None:
    assert (await site.client.get("/healthz")).json() == {"status": "ok", "missing": []}
    answer = await site.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "missing": []})


async def test_without_its_store_it_is_alive_but_not_ready(own_site: Site) -> None:
    own_site.store.rename(own_site.store.with_name("gone"))  # at once, whatever is being written there
    assert (await own_site.client.get("/healthz")).status_code == 200
    answer = await own_site.client.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["store: store-unavailable"])
    assert int(answer.headers["retry-after"]) > 0


async def test_a_disk_that_is_full_is_not_ready_wherever_it_is(own_site: Site) -> None:
    # The log is captured apart: pytest keeps it in a file, which may not grow here either.
    with structlog.testing.capture_logs(), no_file_above(1024):
        answer = await own_site.client.get("/readyz")
    assert answer.status_code == 503
    assert {fault.partition(":")[0] for fault in answer.json()["missing"]} >= {"store", "queue", "scratch"}

    async def is_ready() -> bool:  # a write that began before may end only now
        return (await own_site.client.get("/readyz")).status_code == 200

    await until(is_ready)


async def test_the_runbook_says_what_to_do_about_each_part_that_may_not_work(site: Site) -> None:
    await site.client.get("/readyz")
    components = {sample.labels["part"] for family in metrics.ready.collect() for sample in family.samples}
    (rule,) = [rule for rule in rules() if rule.alert == "NotReady"]
    assert [part for part in sorted(components) if f"{part}:" not in rule.annotations["runbook"]] == []


async def test_a_queue_whose_file_is_gone_is_not_ready_and_takes_no_posts(own_site: Site) -> None:
    (own_site.store.parent / "queue.db").unlink()
    answer = await own_site.client.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["queue: queue-unavailable"])
    body = msgspec.json.encode({"key": KEY})
    assert (
        await own_site.client.post("/v1/jobs", content=body, headers=signed(body, secret=SECRET))
    ).status_code == 503


async def test_the_document_describes_every_way_in(site: Site) -> None:
    document = (await site.client.get("/schema/openapi.json")).json()
    assert set(document["paths"]) == {
        "/healthz",
        "/readyz",
        "/files/{key}",
        "/img/{key}/{size}",
        "/v1/derivatives/{key}",
        "/v1/events/s3",
        "/v1/facts/{key}",
        "/v1/images/{key}",
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/cancel",
        "/v1/jobs/{job_id}/replay",
        "/v1/jobs/replay",
        "/v1/queue",
        "/v1/queue/pause",
        "/v1/queue/resume",
        "/v1/uploads",
        "/v1/uploads/{token}",
    }
    assert "requestBody" in document["paths"]["/v1/jobs"]["post"]


async def test_the_document_describes_every_answer_in_its_own_words(site: Site) -> None:
    paths = (await site.client.get("/schema/openapi.json")).json()["paths"]
    operations = [one for path in paths.values() for method, one in path.items() if method != "parameters"]
    descriptions = {answer["description"] for one in operations for answer in one["responses"].values()}
    assert "Additional response" not in descriptions
    assert all(" " in one["summary"] for one in operations)


async def test_there_is_a_page_to_try_it(site: Site) -> None:
    answer = await site.client.get("/schema")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_a_forged_request_id_is_replaced(site: Site) -> None:
    answer = await site.client.get("/healthz", headers={"x-request-id": 'a" b\tc' * 50})
    assert len(answer.headers["x-request-id"]) == 32


async def test_a_callers_request_id_comes_back(site: Site) -> None:
    answer = await site.client.get(f"/img/{KEY}/small", headers={"x-request-id": "trace-1"})
    assert answer.headers["x-request-id"] == "trace-1"


async def test_monitors_may_ask_without_a_body(site: Site) -> None:
    assert (await site.client.head("/healthz")).status_code == 200
    assert (await site.client.head("/readyz")).status_code == 200
