"""compose.yaml fits its schema, and starts the service with settings that it knows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from PIL import Image

from loadtest.servers import seaweed
from loadtest.servers.service import Service, on_bucket, running
from proxy.settings.settings import list_settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).parents[2] / "compose.yaml"
IS_CHECKED = "\nHEALTHCHECK " in (FILE.parent / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = msgspec.yaml.decode(FILE.read_bytes())


def test_it_fits_the_schema_of_compose() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_the_service_starts_with_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = COMPOSE["services"]["images"]["environment"]
    known = {setting.name for setting in list_settings()} | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert set(environment) <= known
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 - as the image has it
    monkeypatch.setenv("SIZES_FILE", str(FILE.parent / "config" / "sizes.toml"))
    settings = read_settings()
    assert settings.public_base_url == "http://localhost:8333/images"


def test_every_service_that_is_waited_for_is_there_and_says_when_it_is_well() -> None:
    services = COMPOSE["services"]
    for one in services.values():
        for name, how in one.get("depends_on", {}).items():
            assert name in services
            has_check = "healthcheck" in services[name] or (IS_CHECKED and "build" in services[name])
            assert how["condition"] == "service_completed_successfully" or has_check


def test_prometheus_scrapes_the_port_of_the_series() -> None:
    told = msgspec.yaml.decode(COMPOSE["configs"]["prometheus"]["content"])
    assert told["scrape_configs"][0]["static_configs"] == [{"targets": ["images:9091"]}]
    assert told["rule_files"] == ["alerts.yml"]


def test_nothing_is_open_to_the_network() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_service_reads_the_bucket_at_the_address_that_browsers_use() -> None:
    services = COMPOSE["services"]
    settings = services["images"]["environment"]
    assert services["images"]["network_mode"] == services["photo"]["network_mode"] == "service:weed"
    for name in ("PUBLIC_BASE_URL", "S3_ENDPOINT_URL"):
        assert f"127.0.0.1:{urlsplit(settings[name]).port}:8333" in services["weed"]["ports"]
    assert "-volume.port=8081" in services["weed"]["command"], "SeaweedFS has port 8080 itself, unless told otherwise"
    assert services["weed"]["networks"]["default"]["aliases"] == ["images"], "Prometheus calls the service by its name"


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("weed")) as server:
        yield server


def test_the_bucket_is_made_at_the_first_start_and_found_at_every_later_one(weed: seaweed.Seaweed) -> None:
    *shell, line = COMPOSE["services"]["bucket"]["entrypoint"]
    for name, there in (("weed:9333", weed.beside("master")), ("weed:8888", weed.beside("filer"))):
        line = line.replace(name, there)
    line = line.replace("images", "new-images").replace("weed shell", f"{seaweed.program()} shell")
    starts = [subprocess.run([*shell, line], capture_output=True, text=True, check=False) for _ in range(2)]
    assert [one.returncode for one in starts] == [0, 0], starts
    not_made = line.replace("s3.bucket.create", "s3.bucket.list").replace("grep -w new-images", "grep -w none")
    assert subprocess.run([*shell, not_made], capture_output=True, check=False).returncode == 1


@pytest.fixture(scope="module")
def service(weed: seaweed.Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), weed=weed, **on_bucket(weed, seaweed.ADMIN)) as one:
        yield one


def put_in(service: Service, photo: Path) -> subprocess.CompletedProcess[str]:
    """Run the command of the service `photo`, with its settings, outside of a container."""
    photos = COMPOSE["services"]["photo"]
    _, script, _ = photos["entrypoint"]
    mounts = dict(volume.rsplit(":", 2)[1::-1] for volume in photos["volumes"])
    environment = {**service.environment(), "SERVICE_URL": service.url}
    names = {"STORE", "S3_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WEBHOOK_SECRETS"}
    assert names <= set(photos["environment"])
    given = {name: environment[name] for name in names | {"PATH", "SERVICE_URL"}}
    return subprocess.run(
        [sys.executable, mounts[script], photo],
        cwd=FILE.parent,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", ["a sample", "a PNG"])
def test_the_first_photo_is_put_and_its_sizes_can_be_opened(service: Service, tmp_path: Path, kind: str) -> None:
    photo = Path(os.devnull)
    if kind == "a PNG":
        photo = tmp_path / "photo.png"
        Image.new("RGB", (400, 300), "green").save(photo)
    done = put_in(service, photo)
    assert done.returncode == 0, done.stderr
    first, *made, last = done.stdout.splitlines()
    assert first.endswith(".png" if kind == "a PNG" else ".jpg")
    assert [line.split()[0] for line in made] == ["small", "medium", "large", "xlarge"]
    for line in (*made, last):
        answer = httpx.get(line.split()[-1], follow_redirects=True)
        assert (answer.status_code, answer.headers["content-type"].partition("/")[0]) == (200, "image"), line
        assert b"GPS" not in answer.content


def test_a_photo_that_is_none_ends_the_step_with_the_reason(service: Service, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a photograph")
    done = put_in(service, tmp_path / "notes.jpg")
    assert (done.returncode, "the job failed: " in done.stderr) == (1, True), done.stderr
