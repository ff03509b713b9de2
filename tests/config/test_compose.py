"""compose.yaml fits its schema, and starts the service with settings that it knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtest import seaweed
from proxy.settings.settings import list_settings, read_settings

FILE = Path(__file__).parents[2] / "compose.yaml"
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
            assert how["condition"] == "service_completed_successfully" or "healthcheck" in services[name]


def test_prometheus_scrapes_the_port_of_the_series() -> None:
    told = msgspec.yaml.decode(COMPOSE["configs"]["prometheus"]["content"])
    assert told["scrape_configs"][0]["static_configs"] == [{"targets": ["images:9091"]}]
    assert told["rule_files"] == ["alerts.yml"]


@pytest.mark.parametrize("name", ["images", "weed", "prometheus"])
def test_nothing_is_open_to_the_network(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][name]["ports"])


def test_the_bucket_is_made_at_the_first_start_and_found_at_every_later_one(tmp_path: Path) -> None:
    *shell, line = COMPOSE["services"]["bucket"]["entrypoint"]
    with seaweed.running(tmp_path) as weed:
        for name, there in (("weed:9333", weed.beside("master")), ("weed:8888", weed.beside("filer"))):
            line = line.replace(name, there)
        line = line.replace("images", "new-images").replace("weed shell", f"{seaweed.program()} shell")
        starts = [subprocess.run([*shell, line], capture_output=True, text=True, check=False) for _ in range(2)]
        assert [one.returncode for one in starts] == [0, 0], starts
        not_made = line.replace("s3.bucket.create", "s3.bucket.list").replace("grep -w new-images", "grep -w none")
        assert subprocess.run([*shell, not_made], capture_output=True, check=False).returncode == 1
