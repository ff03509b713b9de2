"""`gf-images jobs` against a running service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from loadtest.servers.ports import free_port
from loadtest.servers.service import SECRET, Service, order, running, signed, started
from proxy.cli.main import main
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), QUEUE_SIZE="4") as one:
        yield one


@pytest.fixture
def environment(service: Service) -> dict[str, str]:
    return {"SERVICE_URL": service.url, "WEBHOOK_SECRETS": SECRET}


def run(environment: dict[str, str], *words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, ["jobs", *words], env=environment, input=given)


def post(service: Service, key: str) -> str:
    body = order(key)
    answer = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def broken(service: Service, key: str) -> str:
    """Post a job for an original that is not an image."""
    path = service.store / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is not a picture")
    return post(service, key)


async def ended(service: Service, job_id: str) -> None:
    async def has_ended() -> bool:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{service.url}/v1/jobs/{job_id}")).json()["finished_at"] is not None

    await until(has_ended)


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


async def test_jobs_are_listed_shown_and_replayed(service: Service, environment: dict[str, str]) -> None:
    failed = broken(service, "a [b]/1_original.jpg")
    await ended(service, failed)
    listed = run(environment, "list", "--key", "a [b]/1_original.jpg", "--code", "not-an-image")
    assert listed.exit_code == 0, listed.output
    assert failed in listed.stdout
    assert "a [b]/1_original.jpg" in listed.stdout
    assert "queue: running; 0 waiting" in listed.stdout
    shown = run(environment, "show", failed)
    assert "not-an-image: " in shown.stdout
    again = run(environment, "replay", failed, "--json")
    assert (again.exit_code, [job["id"] for job in lines(again)]) == (0, [failed])
    await ended(service, failed)
    many = run(environment, "replay", "--code", "not-an-image", "--newer-than", "1h")
    assert (many.exit_code, many.stdout.split(), many.stderr) == (0, [failed], "Jobs that run again: 1\n")
    await ended(service, failed)


async def test_a_list_of_more_than_a_page_is_read_to_its_end(service: Service, environment: dict[str, str]) -> None:
    ids = []
    for number in range(3):
        ids.append(broken(service, f"pages/{number}_original.jpg"))
        await ended(service, ids[-1])
    listed = run(environment, "list", "--status", "error", "--limit", "2", "--json")
    assert [job["id"] for job in lines(listed)] == ids[:0:-1]


async def test_a_paused_queue_waits_and_its_jobs_can_be_cancelled(
    service: Service, environment: dict[str, str]
) -> None:
    paused = run(environment, "pause")
    assert paused.exit_code == 0
    assert "paused since 2" in paused.stdout
    waits = post(service, "pause/1_original.jpg")
    assert "queue: paused since" in run(environment, "list", "--key", "pause/1_original.jpg").stdout
    cancelled = run(environment, "cancel", waits, "--json")
    assert [job["error"] for job in lines(cancelled)] == [
        {"code": "cancelled", "detail": "The job was cancelled on request. Replay it to run it."}
    ]
    resumed = run(environment, "resume", "--json")
    assert (resumed.exit_code, lines(resumed)[0]["paused_since"]) == (0, None)


async def test_one_job_of_several_that_is_refused_is_named_and_the_others_are_done(
    service: Service, environment: dict[str, str]
) -> None:
    done = broken(service, "several/1_original.jpg")
    await ended(service, done)
    result = run(environment, "cancel", "0" * 32, done)
    assert result.exit_code == 1
    assert f"{'0' * 32}: Unknown job (404)." in result.stderr
    assert f"{done}: Job has ended (409)." in result.stderr


async def test_the_secret_may_come_from_a_file_or_standard_input(service: Service) -> None:
    environment = {"WEBHOOK_SECRETS": "", "SERVICE_URL": ""}
    result = run(environment, "list", "--url", service.url, "--secret-file", "-", given=f"{SECRET}\n")
    assert result.exit_code == 0, result.output


async def test_a_wrong_secret_is_explained(service: Service, environment: dict[str, str]) -> None:
    other = "whsec_" + "YW5vdGhlciBzZWNyZXQgb2YgdGhpcyB0ZXN0"
    result = run(environment | {"WEBHOOK_SECRETS": other}, "list")
    assert result.exit_code == 1
    assert "Missing or invalid signature (401)" in result.stderr
    assert "--secret-file" in result.stderr
    assert other not in result.output


async def test_a_request_without_a_secret_is_explained(service: Service, environment: dict[str, str]) -> None:
    result = run(environment | {"WEBHOOK_SECRETS": ""}, "list")
    assert result.exit_code == 1
    assert "(401). The request was not signed, because no secret is set. Set WEBHOOK_SECRETS" in result.stderr
    assert "clock" not in result.stderr


async def test_a_url_below_that_of_the_service_is_shown(service: Service, environment: dict[str, str]) -> None:
    result = run(environment, "list", "--url", f"{service.url}/schema")
    assert result.exit_code == 1
    assert f"The request was for {service.url}/schema/v1/jobs. Check the URL (the argument, --url" in result.stderr


async def test_a_service_that_does_not_run_is_explained(environment: dict[str, str]) -> None:
    result = run(environment | {"SERVICE_URL": f"http://127.0.0.1:{free_port()}"}, "list")
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
    assert "SERVICE_URL" in result.stderr


async def test_another_server_is_not_taken_for_the_service(service: Service, environment: dict[str, str]) -> None:
    result = run(environment | {"SERVICE_URL": f"http://127.0.0.1:{service.metrics_port}"}, "list")
    assert result.exit_code == 1
    assert "SERVICE_URL" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["replay"], "No job is selected"),
        (["replay", "0", "--code", "corrupt"], "contradict each other"),
        (["list", "--older-than", "2w"], "such as 90s"),
        (["list", "--status", "lost"], "--status"),
        (
            ["list", "--url", "ftp://x"],
            "Invalid value for '--url': 'ftp://x' must start with http:// or https:// and a host, such as http://127.0.0.1:8080",
        ),
        (["list", "--secret-file", "-"], "--secret-file: is empty"),
        (["show"], "IDS"),
    ],
)
async def test_wrong_words_are_a_usage_error(words: list[str], said: str, environment: dict[str, str]) -> None:
    result = run(environment, *words)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("command", ["show", "cancel"])
async def test_an_id_never_leads_to_another_route(environment: dict[str, str], command: str) -> None:
    result = run(environment, command, "..")
    assert result.exit_code == 1
    assert "contains a segment '.' or '..', which no key and no id of a job has." in result.stderr


async def test_without_a_url_the_service_of_these_settings_is_called(service: Service) -> None:
    environment = {"SERVICE_URL": "", "HOST": "0.0.0.0", "PORT": str(service.port), "WEBHOOK_SECRETS": SECRET}  # noqa: S104 - called at the loopback address
    result = run(environment, "list")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["list", "show", "replay", "cancel", "pause", "resume"])
async def test_every_command_has_an_example_and_the_group_the_exit_codes(command: str) -> None:
    assert f"Example: gf-images jobs {command}" in " ".join(
        CliRunner().invoke(main, ["jobs", command, "-h"]).stdout.split()
    )
    assert "Exit codes" in CliRunner().invoke(main, ["jobs", "-h"]).stdout


async def test_a_service_with_an_origin_of_its_own_accepts_its_commands(tmp_path: Path) -> None:
    with running(tmp_path, PUBLIC_ORIGIN="https://images.example.org") as one:
        environment = {"SERVICE_URL": one.url, "WEBHOOK_SECRETS": SECRET}
        assert run(environment, "pause").exit_code == 1
        assert run(environment | {"PUBLIC_ORIGIN": "https://images.example.org"}, "pause").exit_code == 0
    port = free_port()
    own = Service(folder=tmp_path, settings={"PUBLIC_ORIGIN": f"http://127.0.0.1:{port}"}, port=port)
    with started(own):
        assert run(environment | {"SERVICE_URL": own.url}, "resume").exit_code == 0
