"""`gf-images smoke` against a running service."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from loadtest.servers.ports import free_port
from loadtest.servers.receiver import receiving
from loadtest.servers.service import SECRET, Service, order, running, signed
from pipeline.formats.gps import has_position
from pipeline.image.sample import paint_sample
from proxy.cli.main import main
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

PORT = free_port()
"""Where the callback is received."""

STEPS = ["ready", "original", "order", "job", "callback", "page views", "no position", "purge", "clean up"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), CALLBACK_HOSTS=f"http://127.0.0.1:{PORT}") as one:
        yield one


@pytest.fixture
def environment(service: Service) -> dict[str, str]:
    return {"WEBHOOK_SECRETS": SECRET, "STORE": f"file://{service.store}", "SERVICE_URL": service.url}


def run(environment: dict[str, str], *words: str) -> Result:
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(main, ["smoke", *words], env=environment)
    finally:
        signal.signal(signal.SIGTERM, before)


def steps(result: Result) -> dict[str, str]:
    """Return the outcome of each step."""
    return {step["step"]: step["outcome"] for step in map(json.loads, result.stdout.splitlines())}


def images(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))


def test_a_service_in_order_passes_every_step_and_nothing_is_left(
    service: Service, environment: dict[str, str]
) -> None:
    before = images(service.store)
    result = run(environment, "--listen", f"127.0.0.1:{PORT}", "--json")
    assert (result.exit_code, steps(result)) == (0, dict.fromkeys(STEPS, "ok")), result.output
    assert images(service.store) == before


def test_the_sample_lies_below_a_prefix_of_originals(environment: dict[str, str]) -> None:
    result = run(environment | {"ORIGINALS_PREFIX": "keys/,gall/"}, "--json")
    details = {step["step"]: step["detail"] for step in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 0, result.output
    assert details["original"].startswith("gall/smoke/")


def test_people_see_a_table_with_the_time_of_each_step(service: Service, environment: dict[str, str]) -> None:
    result = run(environment | {"SERVICE_URL": ""}, service.url)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["step", "result", "s", "detail"]
    assert all(float(row[row.index("ok") + 1]) >= 0 for row in rows[1:] if "ok" in row)
    assert "skipped" in result.stdout


def test_an_original_that_exists_is_kept_and_so_are_its_derivatives(
    service: Service, environment: dict[str, str]
) -> None:
    key = "gall/7/7_1_original.jpg"
    (service.store / "gall/7").mkdir(parents=True)
    paint_sample(str(service.store / key))
    result = run(environment | {"STORE": "file:///nowhere"}, "--key", key, "--json")
    assert result.exit_code == 0, result.output
    kept = [f"gall/7/7_1_{size}.jpg" for size in ("large", "medium", "original", "small", "xlarge")]

    async def are_there() -> bool:
        return [one for one in images(service.store) if one.startswith("gall/7/")] == kept

    asyncio.run(until(are_there))


def test_a_callback_that_is_not_allowed_fails_and_nothing_is_left(
    service: Service, environment: dict[str, str]
) -> None:
    before = images(service.store)
    result = run(environment, "--listen", f"127.0.0.1:{free_port()}", "--json")
    assert (result.exit_code, steps(result)["order"], steps(result)["clean up"]) == (1, "failed", "ok")
    assert "CALLBACK_HOSTS" in result.stdout
    assert images(service.store) == before


def test_a_callback_that_does_not_come_fails_with_what_the_service_reports(
    service: Service, environment: dict[str, str]
) -> None:
    with receiving(statuses=(500,) * 9) as receiver:
        entry = f"http://127.0.0.1:{PORT},{receiver.listed}"
        with running(service.folder / "other", CALLBACK_HOSTS=entry) as other:
            told = environment | {"STORE": f"file://{other.store}", "SERVICE_URL": other.url}
            words = ["--listen", f"127.0.0.1:{PORT}", "--callback-url", receiver.url, "--timeout", "10", "--json"]
            result = run(told, *words)
    assert (result.exit_code, steps(result)["callback"]) == (1, "failed")
    assert "retrying. The receiver responded with 500." in result.stdout


def test_a_store_that_is_not_the_services_fails_and_its_job_is_cancelled(
    service: Service, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    result = run(environment | {"STORE": f"file://{tmp_path}/other"}, "--timeout", "1", "--json")
    assert (result.exit_code, steps(result)["job"]) == (1, "failed")
    assert "last error: not-found" in result.stdout
    assert images(tmp_path) == []
    job_id = next(json.loads(line)["detail"].split()[1] for line in result.stdout.splitlines() if '"order"' in line)
    job = httpx.get(f"{service.url}/v1/jobs/{job_id}").json()
    assert job["error"]["code"] == "cancelled"


def test_a_paused_queue_is_reported_at_once(service: Service, environment: dict[str, str]) -> None:
    runner = CliRunner()
    assert runner.invoke(main, ["jobs", "pause"], env=environment).exit_code == 0
    result = run(environment, "--json")
    assert runner.invoke(main, ["jobs", "resume"], env=environment).exit_code == 0
    assert (result.exit_code, steps(result)) == (1, {"ready": "failed"})
    assert "paused" in result.stdout


def test_a_run_that_is_terminated_removes_its_original(
    service: Service, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    told = {**os.environ, **environment, "STORE": f"file://{tmp_path}/other"}  # so its job waits for the original
    command = [sys.executable, "-m", "proxy", "smoke", "--json"]
    with subprocess.Popen(command, env=told, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while '"order"' not in process.stdout.readline():
            assert process.poll() is None
        assert len(images(tmp_path)) == 1
        process.terminate()
        rest = process.stdout.read()
    assert (process.returncode, images(tmp_path)) == (128 + signal.SIGTERM, [])
    assert '"clean up"' in rest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "9099"], "such as 127.0.0.1:9099"),
        (["--listen", "127.0.0.1:x"], "such as 127.0.0.1:9099"),
        (["--callback-url", "http://a.test/"], "requires --listen"),
        (["ftp://a.test"], "must start with http"),
        (["--timeout", "0"], "--timeout"),
    ],
)
def test_wrong_words_are_a_usage_error(words: list[str], said: str, environment: dict[str, str]) -> None:
    result = run(environment, *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_an_address_that_is_in_use_is_a_usage_error(service: Service, environment: dict[str, str]) -> None:
    result = run(environment, "--listen", f"127.0.0.1:{service.port}")
    assert result.exit_code == 2
    assert f"--listen: 127.0.0.1:{service.port} cannot be used" in result.stderr


def test_the_sample_has_a_position_and_what_the_service_makes_of_it_has_none(service: Service, tmp_path: Path) -> None:
    key = "gall/8/8_1_original.jpg"
    (service.store / "gall/8").mkdir(parents=True)
    paint_sample(str(service.store / key))
    assert has_position((service.store / key).read_bytes())
    body = order(key)
    posted = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body))

    async def has_ended() -> bool:
        async with httpx.AsyncClient() as client:
            return bool((await client.get(service.url + posted.headers["location"])).json()["status"] == "done")

    asyncio.run(until(has_ended))
    assert not has_position((service.store / "gall/8/8_1_small.jpg").read_bytes())
