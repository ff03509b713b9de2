"""No log tells a secret, whatever is done to the service."""

from __future__ import annotations

import asyncio
import base64
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from loadtest.servers.ports import free_port
from loadtest.servers.receiver import receiving
from loadtest.servers.service import SECRET, Service, order, signed, started, starting
from tests import servers
from tests.end_to_end.logged import enqueue_nonsense, lines, post
from tests.end_to_end.reprocesses import reprocessing
from tests.waiting import until

HIDDEN = "hunter2-swordfish"
"""Stands in every place where a secret may stand."""

ACCESS_KEY = "AKIDEXAMPLE"

UPGRADE = {"connection": "upgrade", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_told_by_a_service_that_is_used_and_misused(tmp_path: Path, form: str) -> None:
    secret = "whsec_" + base64.b64encode(b"a secret of 24 bytes or more").decode()
    settings = {
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": form,
        "WEBHOOK_SECRETS": f"{SECRET},{secret}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": HIDDEN,
        "AWS_SESSION_TOKEN": HIDDEN,
    }
    # Each fails once: the second wait for a receiver takes half a minute.
    with receiving(statuses=(500,)) as broken, receiving(statuses=(503,)) as busy:
        nobody = f"http://127.0.0.1:{free_port()}"
        hosts = f"{broken.listed},{busy.listed},{nobody}"
        with started(Service(folder=tmp_path, settings={**settings, "CALLBACK_HOSTS": hosts})) as service:
            misuse(service)
            service.put("gall/text_original.jpg", Path(__file__))
            service.put("gall/text3_original.jpg", Path(__file__))
            first = post(service, "gall/text_original.jpg", callback_url=f"{broken.url}/{HIDDEN}?token={HIDDEN}")
            post(service, "gall/text2_original.jpg", callback_url=f"{nobody}/{HIDDEN}?token={HIDDEN}")
            third = post(service, "gall/text3_original.jpg", callback_url=f"{busy.url}/{HIDDEN}?token={HIDDEN}")
            asyncio.run(enqueue_nonsense(service, callback_url=f"{broken.url}/{HIDDEN}?token={HIDDEN}"))
            assert broken.wait_for({first}, seconds=60)
            assert busy.wait_for({third}, seconds=60)
    told = service.log.read_text()
    assert "job_failed" in told
    assert "job_set_aside" in told
    assert "callback_retry_scheduled" in told
    for hidden in (HIDDEN, SECRET.removeprefix("whsec_"), secret.removeprefix("whsec_")):
        assert hidden not in told


def test_no_secret_is_told_by_a_reprocess_or_kept_by_it(tmp_path: Path) -> None:
    settings = {
        "STORE": "s3://images",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": HIDDEN,
        "AWS_SESSION_TOKEN": HIDDEN,
        "WEBHOOK_SECRETS": SECRET,
        "PUBLIC_BASE_URL": "https://images.test",
        "LOG_LEVEL": "DEBUG",
    }
    with reprocessing(tmp_path, **settings) as one:
        one.hear_of("retry")
        one.process.send_signal(signal.SIGTERM)
        assert one.end() == 1
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "sizes.toml"]
    assert "checkpoint.json" in [path.name for path in kept]
    assert not [path for path in kept if HIDDEN.encode() in path.read_bytes()]
    assert not [path for path in kept if SECRET.removeprefix("whsec_").encode() in path.read_bytes()]


def misuse(service: Service) -> None:
    """Ask for everything in wrong ways, with a secret wherever there is room for one."""
    with httpx.Client(base_url=service.url, headers={"authorization": f"Bearer {HIDDEN}"}) as client:
        for address in ("/img/gall/1_original.jpg/small", "/files/x", "/v1/jobs", "/nowhere", "/healthz", "/schema"):
            client.get(address, params={"token": HIDDEN, "cursor": HIDDEN})
        for upgrade in ("websocket", "h2c"):
            client.get("/v1/jobs", params={"token": HIDDEN}, headers={**UPGRADE, "upgrade": upgrade})
        for body in (HIDDEN.encode(), b'{"key": 5, "callback_url": "%s"}' % HIDDEN.encode(), b"{}"):
            client.post("/v1/jobs", content=body, headers=signed(body))
            client.post("/v1/jobs", content=body, headers={**signed(body), "webhook-signature": f"v1,{HIDDEN}"})
        for url in (f"https://user:{HIDDEN}@a.test/", f"https://a.test/{HIDDEN}?token={HIDDEN}"):
            body = order("gall/1_original.jpg", callback_url=url)
            assert client.post("/v1/jobs", content=body, headers=signed(body)).status_code == 422


BAD_SETTINGS = [
    {"STORE": f"https://user:{HIDDEN}@a.test"},
    {"STORE": "s3://images", "PUBLIC_BASE_URL": "/x", "S3_ENDPOINT_URL": f"https://user:{HIDDEN}@a.test"},
    {"STORE": "s3://images", "PUBLIC_BASE_URL": f"ftp://user:{HIDDEN}@a.test"},
    {"STORE": "s3://images", "PUBLIC_BASE_URL": "/x", "ORIGINALS_BASE_URL": f"https://user:{HIDDEN}@a.test?x"},
    {"WEBHOOK_SECRETS": f"whsec_{HIDDEN},{HIDDEN}"},
    {"CALLBACK_HOSTS": f"https://user:{HIDDEN}@a.test/{HIDDEN}"},
    {"QUEUE": f"amqp://user:{HIDDEN}@a.test"},
    {"QUEUE": f"redis://:{HIDDEN}@127.0.0.1:1/0"},
    {"QUEUE": f"redis://:a/{HIDDEN}@127.0.0.1:1/0"},
    {"QUEUE": f"postgresql://user:{HIDDEN}@127.0.0.1:1/queue"},
    {"QUEUE": f"postgresql://user:a@{HIDDEN}@127.0.0.1:1/queue"},
    {"QUEUE": f"postgresql://user:a/{HIDDEN}@127.0.0.1:1/queue"},
    {"QUEUE": f"postgresql://user:%zz{HIDDEN}@127.0.0.1:1/queue"},
    {"PORT": HIDDEN},
    {"ALLOW_UNSIGNED": HIDDEN},
]


@pytest.mark.parametrize("settings", BAD_SETTINGS, ids=lambda one: next(reversed(one)))
def test_no_secret_is_told_by_a_service_that_cannot_start(tmp_path: Path, settings: dict[str, str]) -> None:
    service = Service(folder=tmp_path, settings={"LOG_LEVEL": "DEBUG", **settings})
    with starting(service):
        assert service.process is not None
        assert service.process.wait(timeout=60) in {1, 2}
    told = service.log.read_text()
    assert "Traceback" not in told
    assert next(reversed(settings)) in told or "cannot be reached" in told
    assert HIDDEN not in told


def test_no_secret_is_told_when_the_store_fails(tmp_path: Path) -> None:
    settings = {
        "LOG_LEVEL": "DEBUG",
        "STORE": "s3://images",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": HIDDEN,
        "AWS_SESSION_TOKEN": HIDDEN,
        "PUBLIC_BASE_URL": "https://images.test",
    }
    for more in ({}, {"ORIGINALS_BASE_URL": f"http://user:{HIDDEN}@127.0.0.1:{free_port()}"}):
        service = Service(folder=tmp_path, settings={**settings, **more})
        with starting(service):
            asyncio.run(until(partial(answers, service)))
            post(service, "gall/1_original.jpg")
            assert httpx.get(f"{service.url}/img/gall/1_original.jpg/small", timeout=30).status_code == 502
            service.stop()
    told = service.log.read_text()
    assert "store-unavailable" in told
    assert "component_not_ready" in told
    assert HIDDEN not in told


async def answers(service: Service) -> bool:
    async with httpx.AsyncClient(base_url=service.url) as client:
        with suppress(httpx.TransportError):
            return (await client.get("/healthz")).is_success
    return False


@pytest.mark.needs("redis-server", "redis-server")
def test_no_secret_is_told_when_the_queue_refuses_and_is_lost(tmp_path: Path) -> None:
    with servers.running_redis() as redis:
        redis.demand_password(HIDDEN)
        address = redis.make_database().replace("redis://", f"redis://:{HIDDEN}@")
        with started(Service(folder=tmp_path, settings={"LOG_LEVEL": "DEBUG", "QUEUE": address})) as service:
            post(service, "gall/1_original.jpg")
            redis.kill()
            asyncio.run(until(lambda: has_event(service, "queue_unavailable")))
            redis.start()  # without its password: what it is told now, it refuses
            body = order("gall/2_original.jpg")
            assert httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).status_code == 503
        assert HIDDEN not in service.log.read_text()


async def has_event(service: Service, event: str) -> bool:
    return any(line["event"] == event for line in lines(service))
