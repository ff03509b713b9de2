"""What the image carries, as far as can be told without building it."""

from __future__ import annotations

import os
import re
import socketserver
import subprocess
import sys
import threading
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadtest.servers.ports import free_port
from loadtest.servers.service import Service, started
from proxy import healthcheck
from proxy.settings.settings import list_settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-compiler.txt")
CARRIED = ("redis", "postgres")
"""The extras: what queues on servers need."""


def environment() -> dict[str, str]:
    """Read the settings that the image makes."""
    (words,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return dict(word.split("=", 1) for word in words.replace("\\\n", " ").split())


def test_the_lock_file_holds_what_the_queues_on_servers_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    names = {re.split(r"[\[>]", requirement)[0] for extra in CARRIED for requirement in extras[extra]}
    for name in (*names, "redis", "psycopg-binary", "psycopg-pool"):
        assert re.search(rf"^{name}(\[.*\])?==", lock, re.MULTILINE), name


def test_heic_is_in_every_installation_and_nothing_of_it_is_under_the_gpl() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(requirement.startswith("pi-heif") for requirement in project["dependencies"])
    assert project["optional-dependencies"]["heic"] == []  # installations that name it keep working
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert re.search(r"^pi-heif==", lock, re.MULTILINE)
    assert "pillow-heif" not in lock  # its wheel has x265 in it


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_file_says_where_its_maker_installs_from(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("--")]


def test_what_is_locked_with_its_extras_stays_where_a_newer_one_is_out() -> None:
    # pip looks for the newest `psycopg[binary]` where `psycopg` alone is locked, and has no hash of that.
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert re.search(r"^psycopg\[binary, ?pool\]==", lock, re.MULTILINE)


def test_what_the_image_sets_is_what_the_service_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {
        name: value
        for name, value in environment().items()
        if not name.startswith(("PATH", "PYTHON", "MALLOC_", "TMPDIR"))
    }
    assert set(theirs) <= {setting.name for setting in list_settings()}
    for name, value in {**theirs, "SIZES_FILE": f"{ROOT}/config/sizes.toml", "ALLOW_UNSIGNED": "true"}.items():
        monkeypatch.setenv(name, value)
    assert read_settings().queue == "sqlite:////data/queue.db"


def test_a_bucket_is_named_beside_what_the_image_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"S3_BUCKET": "images", "PUBLIC_BASE_URL": "https://images.example", "ALLOW_UNSIGNED": "true"}
    for name, value in {**environment(), "SIZES_FILE": f"{ROOT}/config/sizes.toml", **more}.items():
        monkeypatch.setenv(name, value)
    assert read_settings().store == "s3://images"


def test_the_health_check_knows_the_defaults_of_the_settings_and_loads_nothing_of_the_service() -> None:
    defaults = {setting.name: str(setting.default) for setting in list_settings()}
    assert {name: defaults[name] for name in healthcheck.PORTS} == healthcheck.PORTS
    show = "print([name for name in sys.modules if name.startswith(('proxy.', 'litestar'))])"
    loaded = f"import sys, proxy.healthcheck; {show}"
    assert subprocess.check_output([sys.executable, "-c", loaded], cwd=ROOT, text=True) == "['proxy.healthcheck']\n"


def test_an_engine_that_is_none_is_told_and_nothing_that_was_built_is_removed(tmp_path: Path) -> None:
    (tmp_path / "index.json").touch()
    words = ROOT / ".ci" / "image" / "build", "name", tmp_path
    ended = subprocess.run(words, env={**os.environ, "ENGINE": "dokcer"}, capture_output=True, text=True, check=False)
    assert (ended.returncode, "dokcer" in ended.stderr, (tmp_path / "index.json").exists()) == (2, True, True)


def check(settings: Mapping[str, str]) -> tuple[int, str]:
    """Run the image's own command; give its exit status, with what it says."""
    (words,) = re.findall(r'^HEALTHCHECK .* CMD \["python", (.*)\]$', DOCKERFILE, re.MULTILINE)
    command = [sys.executable, *(word.strip('" ') for word in words.split(","))]
    done = subprocess.run(command, cwd=ROOT, env=dict(settings), check=False, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_service_and_a_worker_are_healthy_while_they_work(tmp_path: Path) -> None:
    service = Service(folder=tmp_path, settings={"HOST": "0.0.0.0", "ALLOW_UNSIGNED": "true"})  # noqa: S104 - as the image does
    worker = Service(folder=tmp_path, command="worker")
    for one in (service, worker):
        settings = {"HOST": "0.0.0.0", "PORT": str(one.port), "METRICS_PORT": str(one.metrics_port)}  # noqa: S104
        status, said = check(settings)
        assert (status, "no service responds" in said) == (1, True)
        with started(one):
            assert check(settings) == (0, "")
        assert check(settings)[0] == 1


def test_a_service_that_lost_its_store_is_not_healthy_and_says_why(tmp_path: Path) -> None:
    with started(Service(folder=tmp_path)) as service:
        (tmp_path / "store").rename(tmp_path / "gone")
        (tmp_path / "store").write_text("in its place")
        status, said = check({"PORT": str(service.port), "METRICS_PORT": str(service.metrics_port)})
    assert status == 1
    assert "/readyz responded with 503" in said
    assert "store" in said


@contextmanager
def babbler() -> Iterator[int]:
    """Listen as one who does not speak HTTP."""

    class Babble(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"220 mail.example.org\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Babble) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_something_else_on_the_port_is_not_healthy() -> None:
    with babbler() as port:
        status, said = check({"PORT": str(port), "METRICS_PORT": str(free_port())})
    assert (status, "no valid response from" in said) == (1, True)


def test_the_health_check_reads_settings_from_files_as_the_service_does(tmp_path: Path) -> None:
    service = Service(folder=tmp_path, settings={"DELIVERY": "stream"})
    values = {"HOST": "127.0.0.1", "PORT": str(service.port), "METRICS_PORT": str(service.metrics_port)}
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n")
    files = {f"{name}_FILE": str(tmp_path / name) for name in values}
    wrong = {"HOST": "192.0.2.1", "PORT": "1", "METRICS_PORT": "1"}
    with started(service):
        assert check({**wrong, **files}) == (0, "")
    assert check(files)[0] == 1


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"PORT": "eighty"}, "PORT: must be a port"),
        ({"METRICS_PORT": "70000"}, "METRICS_PORT: must be a port"),
        ({"PORT_FILE": "/nowhere"}, "PORT_FILE: must name a readable file"),
        ({"HOST_FILE": "/"}, "HOST_FILE: must name a readable file"),
    ],
)
def test_the_health_check_names_a_setting_that_it_cannot_use(settings: dict[str, str], fault: str) -> None:
    status, said = check(settings)
    assert status == 1
    assert said.startswith(fault)
    assert "Traceback" not in said


def test_a_worker_without_metrics_is_found_by_its_process(tmp_path: Path) -> None:
    settings = {"PORT": str(free_port()), "METRICS_PORT": "0"}
    # Its own port says when it has started: right after exec, a process has no command line yet.
    with started(Service(folder=tmp_path, command="worker")):
        said = healthcheck.check(settings)
        assert "METRICS_PORT=0, so nothing more can be checked" in said
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(healthcheck.Unhealthy, match="no worker was found among the processes; set METRICS_PORT"):
        healthcheck.check(settings, processes=empty)


@pytest.mark.parametrize(
    ("command", "is_worker"),
    [
        ("/opt/venv/bin/python /opt/venv/bin/gf-images worker", True),
        ("python -X utf8 -m proxy worker", True),
        ("gf-images serve", False),
        ("python -m proxy.healthcheck worker", False),
        ("worker", False),
        ("", False),
    ],
)
def test_only_a_worker_of_ours_is_taken_for_one(tmp_path: Path, command: str, is_worker: bool) -> None:  # noqa: FBT001 - a parameter
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_text("".join(f"{word}\0" for word in command.split()))
    settings = {"PORT": str(free_port()), "METRICS_PORT": "0"}
    if is_worker:
        assert "process 7" in healthcheck.check(settings, processes=tmp_path)
    else:
        with pytest.raises(healthcheck.Unhealthy):
            healthcheck.check(settings, processes=tmp_path)
