"""Posting, listing, replaying and purging require a recent signature with a known secret."""

from __future__ import annotations

import base64
import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from standardwebhooks import Webhook

from loadtest.servers.service import signed as sign
from proxy.settings.settings import Settings
from tests.proxy.http.conftest import KEY, SECRET, Site, serving
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.anyio

BODY = msgspec.json.encode({"key": KEY})
OTHER = "whsec_" + base64.b64encode(b"another one of 24 bytes too!").decode()
UNKNOWN = "whsec_" + base64.b64encode(b"one that nobody here has set").decode()
NUMBERS = itertools.count()


async def post(site: Site, headers: dict[str, str], body: bytes = BODY) -> httpx.Response:
    return await site.client.post("/v1/jobs", content=body, headers=headers)


def at(age: timedelta) -> dict[str, str]:
    """Return headers that sign the body as of `age` ago."""
    then = datetime.now(tz=UTC) - age
    message_id = f"msg_{next(NUMBERS)}"
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(then.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(message_id, then, BODY.decode()),
    }


def without(header: str) -> dict[str, str]:
    return {name: value for name, value in sign(BODY, secret=SECRET).items() if name != header}


@pytest.mark.parametrize(
    ("signed", "body"),
    [
        pytest.param(lambda: sign(BODY, secret=SECRET), BODY.replace(b"58_1", b"58_2"), id="a tampered body"),
        pytest.param(lambda: sign(BODY, secret=SECRET), BODY + b"\n", id="a body that parses the same"),
        pytest.param(lambda: sign(BODY, secret=SECRET), b"not json", id="a body that would be refused for itself"),
        pytest.param(lambda: sign(BODY, secret=SECRET), b"\xff\xfe", id="a body that is not text"),
        pytest.param(lambda: sign(BODY, secret=UNKNOWN), BODY, id="a wrong secret"),
        pytest.param(lambda: at(timedelta(minutes=5, seconds=10)), BODY, id="an old timestamp"),
        pytest.param(lambda: at(-timedelta(minutes=5, seconds=10)), BODY, id="a timestamp of the future"),
        pytest.param(lambda: sign(BODY, secret=SECRET) | {"webhook-timestamp": "1"}, BODY, id="another timestamp"),
        pytest.param(lambda: sign(BODY, secret=SECRET) | {"webhook-timestamp": "nan"}, BODY, id="no timestamp at all"),
        pytest.param(lambda: sign(BODY, secret=SECRET) | {"webhook-id": "msg_other"}, BODY, id="another id"),
        pytest.param(lambda: without("webhook-id"), BODY, id="no id"),
        pytest.param(lambda: without("webhook-timestamp"), BODY, id="no timestamp"),
        pytest.param(lambda: without("webhook-signature"), BODY, id="no signature"),
        pytest.param(dict, BODY, id="no headers"),
        pytest.param(
            lambda: sign(BODY, secret=SECRET) | {"webhook-signature": "v1"}, BODY, id="a signature without a comma"
        ),
        pytest.param(lambda: sign(BODY, secret=SECRET) | {"webhook-signature": "v1,%%%"}, BODY, id="no base64"),
        pytest.param(lambda: sign(BODY, secret=SECRET) | {"webhook-signature": "v1,"}, BODY, id="an empty signature"),
        pytest.param(lambda: sign(BODY, secret=SECRET) | {"webhook-signature": "v1,é,x v2,a"}, BODY, id="nonsense"),
    ],
)
async def test_a_stranger_is_kept_out_and_told_what_to_do_and_nothing_else(
    site: Site, signed: Callable[[], dict[str, str]], body: bytes
) -> None:
    before = await listed(site)
    headers = signed()  # now: a signature of the time when tests were collected may be too old
    encoded = {name.encode(): value.encode() for name, value in headers.items()}
    answer = await site.client.post("/v1/jobs", content=body, headers=encoded)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (401, "/problems/bad-signature")
    assert (answer.headers["cache-control"], answer.headers["content-type"]) == ("no-store", "application/problem+json")
    assert "standardwebhooks.com" in problem["detail"]
    signature = Webhook(SECRET).sign(headers.get("webhook-id", ""), datetime.now(tz=UTC), BODY.decode())
    for secret in (SECRET, SECRET.removeprefix("whsec_"), signature, KEY):
        assert secret not in answer.text
    assert await listed(site) == before


async def listed(site: Site) -> set[str]:
    """Give the ids of all jobs; none was refused a place on the page."""
    page = (await site.client.get("/v1/jobs", headers=sign(b"GET /v1/jobs", secret=SECRET))).json()
    assert page["next"] is None
    return {job["id"] for job in page["jobs"]}


@pytest.mark.parametrize("minutes", [4.8, -4.8])
async def test_clocks_may_be_almost_five_minutes_apart(site: Site, minutes: float) -> None:
    assert (await post(site, at(timedelta(minutes=minutes)))).status_code == 202


async def test_one_good_signature_among_several_is_enough(site: Site) -> None:
    headers = sign(BODY, secret=SECRET)
    wrong = Webhook(UNKNOWN).sign(headers["webhook-id"], datetime.now(tz=UTC), BODY.decode())
    several = f"{wrong} v1a,c29tZXRoaW5n {headers['webhook-signature']}"
    assert (await post(site, headers | {"webhook-signature": several})).status_code == 202


async def test_while_a_secret_is_changed_both_are_good(tmp_path: Path) -> None:
    async with serving(tmp_path, webhook_secrets=f"{SECRET}, {OTHER}") as site:
        assert (await post(site, sign(BODY, secret=SECRET))).status_code == 202
        assert (await post(site, sign(BODY, secret=OTHER))).status_code == 202
        assert (await post(site, sign(BODY, secret=UNKNOWN))).status_code == 401


async def test_a_message_that_comes_again_is_the_same_job(own_site: Site) -> None:
    headers = sign(BODY, secret=SECRET, message_id="msg_again")
    first = (await post(own_site, headers)).json()
    other = msgspec.json.encode({"key": "other_original.jpg"})
    again = await post(own_site, sign(other, secret=SECRET, message_id="msg_again"), other)
    assert (again.status_code, again.json()["id"], again.json()["key"]) == (202, first["id"], KEY)


async def test_a_message_that_was_seen_makes_no_other_job_under_a_header_that_nobody_signed(own_site: Site) -> None:
    own_site.upload()
    seen = sign(BODY, secret=SECRET)
    locations = set()
    for number in range(3):
        answer = await post(own_site, seen | {"idempotency-key": f"key-{number}"})
        locations.add(answer.headers["location"])
        await ended(own_site, answer.headers["location"])  # else it were the live job of its original
    assert len(locations) == 1


async def test_where_nobody_signs_an_idempotency_key_says_which_job_it_is(tmp_path: Path) -> None:
    async with serving(tmp_path, webhook_secrets="", workers=0) as site:
        bodies = [msgspec.json.encode({"key": f"{number}_original.jpg"}) for number in range(4)]
        headers = [
            {"idempotency-key": "a", "webhook-id": "msg_1"},
            {"idempotency-key": "a", "webhook-id": "msg_2"},
            {"webhook-id": "a"},
            {"webhook-id": "a"},
        ]
        ids = [(await post(site, one, body)).json()["id"] for one, body in zip(headers, bodies, strict=True)]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert ids[0] != ids[2]


@pytest.mark.parametrize(
    ("method", "address"),
    [("GET", "/v1/jobs"), ("GET", "/v1/jobs?status=error"), ("DELETE", f"/v1/derivatives/{KEY}")],
)
async def test_what_has_no_body_signs_its_method_and_address(site: Site, method: str, address: str) -> None:
    for content in (b"", b"POST /v1/jobs", f"{method} {address}x".encode(), b"GET /v1/jobs?status=done"):
        answer = await site.client.request(method, address, headers=sign(content, secret=SECRET))
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/bad-signature")
        assert "its method and path" in answer.json()["detail"]
    answer = await site.client.request(method, address, headers=sign(f"{method} {address}".encode(), secret=SECRET))
    assert answer.status_code == 200


async def test_running_a_job_again_is_signed_too(own_site: Site) -> None:
    location = (await post(own_site, sign(BODY, secret=SECRET))).headers["location"]
    replay = f"{location}/replay"
    assert (await own_site.client.post(replay)).status_code == 401
    assert (
        await own_site.client.post(replay, headers=sign(f"POST {replay}".encode(), secret=SECRET))
    ).status_code == 202


async def test_a_message_runs_a_job_again_once(own_site: Site) -> None:
    own_site.upload()
    location = (await post(own_site, sign(BODY, secret=SECRET))).headers["location"]
    replay = f"{location}/replay"
    first = await ended(own_site, location)
    seen, other = (sign(f"POST {replay}".encode(), secret=SECRET) for _ in range(2))
    runs = []
    for headers in (seen, seen, other, seen):
        assert (await own_site.client.post(replay, headers=headers)).status_code == 202
        runs.append((await ended(own_site, location))["created_at"])
    assert runs[0] != first["created_at"]
    assert runs[1] == runs[0]
    assert runs[2] != runs[1]
    assert runs[3] == runs[2]


async def ended(site: Site, location: str) -> dict[str, object]:
    async def look() -> dict[str, object] | None:
        job: dict[str, object] = (await site.client.get(location)).json()
        return job if job["status"] in {"done", "error"} else None

    return await until(look)


async def test_a_message_that_was_seen_does_not_run_another_job_again(site: Site) -> None:
    location = (await post(site, sign(BODY, secret=SECRET))).headers["location"]
    seen = sign(BODY, secret=SECRET)
    assert (await site.client.post(f"{location}/replay", content=BODY, headers=seen)).status_code == 401


async def test_without_a_secret_on_loopback_nobody_need_sign(tmp_path: Path) -> None:
    assert Settings().host == "127.0.0.1"
    async with serving(tmp_path, webhook_secrets="") as site:
        assert (await post(site, {})).status_code == 202
        assert (await site.client.get("/v1/jobs")).status_code == 200
        assert (await site.client.delete(f"/v1/derivatives/{KEY}")).status_code == 200


async def test_an_unsigned_request_learns_how_to_sign_and_what_was_verified(site: Site) -> None:
    answer = await site.client.delete("/v1/derivatives/g/1_original.jpg")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("StandardWebhooks ")
    assert "DELETE /v1/derivatives/g/1_original.jpg" in answer.json()["detail"]


async def test_below_a_stripped_prefix_addresses_are_those_that_callers_see(tmp_path: Path) -> None:
    async with serving(tmp_path, base_path="/images", workers=0) as site:  # no job looks before the upload
        answer = await post(site, sign(BODY, secret=SECRET))
        location = answer.headers["location"]
        assert location.startswith("/images/v1/jobs/")
        address = f"/v1/derivatives/{KEY}"
        headers = sign(f"DELETE /images{address}".encode(), secret=SECRET)
        assert (await site.client.delete(address, headers=headers)).status_code == 200
        site.upload()
        page_view = await site.client.get(f"/img/{KEY}/small")
        assert page_view.headers["location"].startswith("/images/files/")


async def test_an_address_may_be_signed_without_the_prefix_that_a_proxy_strips(tmp_path: Path) -> None:
    async with serving(tmp_path, base_path="/images") as site:
        headers = sign(b"GET /v1/jobs", secret=SECRET)
        assert (await site.client.get("/v1/jobs", headers=headers)).status_code == 200


@pytest.mark.parametrize("base_path", ["", "/images"])
async def test_a_request_without_a_body_names_the_service_it_is_for(tmp_path: Path, base_path: str) -> None:
    origin = "https://images.example.org"
    async with serving(tmp_path, public_origin=origin, base_path=base_path) as site:
        for content in (b"GET /v1/jobs", b"GET https://other.example.org/v1/jobs", b"GET images.example.org/v1/jobs"):
            answer = await site.client.get("/v1/jobs", headers=sign(content, secret=SECRET))
            assert answer.status_code == 401
            assert f"GET {origin}{base_path}/v1/jobs" in answer.json()["detail"]
        for path in {"/v1/jobs", f"{base_path}/v1/jobs"}:
            headers = sign(f"GET {origin}{path}".encode(), secret=SECRET)
            assert (await site.client.get("/v1/jobs", headers=headers)).status_code == 200
        assert (await post(site, sign(BODY, secret=SECRET))).status_code == 202, "a body needs no address"


async def test_a_message_purges_once(own_site: Site) -> None:
    own_site.upload()
    address = f"/v1/derivatives/{KEY}"
    seen, other = (sign(f"DELETE {address}".encode(), secret=SECRET) for _ in range(2))
    await own_site.client.get(f"/img/{KEY}/small")
    first = await own_site.client.delete(address, headers=seen)
    assert first.json()["deleted"]
    await own_site.client.get(f"/img/{KEY}/small")
    again = await own_site.client.delete(address, headers=seen)
    assert (again.status_code, again.json()) == (200, first.json())
    assert (own_site.store / KEY.replace("original", "small")).exists()
    assert (await own_site.client.delete(address, headers=other)).status_code == 200
    assert not (own_site.store / KEY.replace("original", "small")).exists()


async def test_the_id_of_a_job_does_not_follow_from_its_message(tmp_path: Path) -> None:
    ids = []
    for folder in ("one", "two"):
        async with serving(tmp_path / folder, workers=0) as site:
            headers = sign(BODY, secret=SECRET, message_id="msg_known")
            ids.append((await post(site, headers)).json()["id"])
            assert (await post(site, headers)).json()["id"] == ids[-1]
            guess = hashlib.sha256(b"webhook-id\nmsg_known").hexdigest()[:32]
            assert (await site.client.get(f"/v1/jobs/{guess}")).status_code == 404
    assert ids[0] != ids[1]
