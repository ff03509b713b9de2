"""`gf-images check`: contradictions are warnings, and `--connect` exits with 1 if a part does not work."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from pipeline.process.confinement.syscalls import LANDLOCK_CREATE_RULESET
from proxy.cli.main import main
from tests.pipeline.process.confinement.lacking import fail_calls
from tests.prometheus import START_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def settings(folder: Path) -> dict[str, str]:
    return {"STORE": f"file://{folder}/store", "QUEUE": f"sqlite:///{folder}/queue.db"}


def test_contradictions_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PORT": "9091",
        "AWS_ACCESS_KEY_ID": "hunter2",
        "MEMORY_BUDGET_MB": "9999999",
        "MAX_PIXEL": "hunter2",
    }.items():
        monkeypatch.setenv(name, value)
    result = run()
    assert result.exit_code == 0
    names = ("METRICS_PORT: is 9091", "AWS_ACCESS_KEY_ID: is set", "MAX_PIXEL: is not a setting", "MEMORY_BUDGET_MB=")
    assert [line.removeprefix("warning: ").startswith(name) for line, name in zip(warnings(result), names, strict=True)]
    assert "hunter2" not in result.output
    assert "PORT=9091" in result.stdout
    told = msgspec.json.decode(run("--json").stdout)
    assert [f"warning: {warning}" for warning in told["warnings"]] == warnings(result)
    assert "parts" not in told


def warnings(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("warning: ")]


def test_connecting_names_what_works_and_every_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    for name, value in settings(tmp_path).items():
        monkeypatch.setenv(name, value)
    result = run("--connect")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "store: works\nqueue: works\nscratch: works\nrenderers: works\nsandbox: " in result.stdout
    (tmp_path / "file").touch()
    for name, value in settings(tmp_path / "file").items():
        monkeypatch.setenv(name, value)
    result = run("--connect")
    assert result.exit_code == 1
    assert [line.partition(" is ")[0] for line in result.stderr.splitlines()] == [
        f"STORE: {tmp_path}/file",
        f"QUEUE: {tmp_path}/file",
    ]
    assert "store: does not work\nqueue: does not work\nscratch: works\n" in result.stdout
    result = run("--connect", "--json")
    assert result.exit_code == 1
    parts = msgspec.json.decode(result.stdout)["parts"]
    assert {name: bool(fault) for name, fault in parts.items()} == {
        "store": True,
        "queue": True,
        "scratch": False,
        "renderers": False,
    }


def test_a_disk_that_hangs_is_a_fault_in_time(tmp_path: Path) -> None:
    """A lock that is held stands for it."""
    lock = tmp_path / "store" / "\x7fgallformers" / "locks" / "writers"
    lock.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "proxy", "check", "--connect", "--json"]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), **settings(tmp_path)}
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        began = time.monotonic()
        ended = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
        assert time.monotonic() - began < START_SECONDS
    assert ended.returncode == 1, ended.stderr
    parts = msgspec.json.decode(ended.stdout)["parts"]
    assert parts["store"] == f"STORE: {tmp_path}/store: no response within 10 s"


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_the_service_starts_with_the_same_sentences(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PORT": "9091", "WORKER": "hunter2"}
    ended = subprocess.run(
        [sys.executable, "-m", "proxy", command],
        env={**environment, **settings(tmp_path), "STORE": f"file://{tmp_path}/file"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    *events, fault = ended.stderr.splitlines()
    assert fault.startswith(f"STORE: {tmp_path}/file is not a directory (")
    details = [msgspec.json.decode(line).get("detail") for line in events]
    assert "WORKER: is not a setting, and is ignored; is it WORKERS?" in details
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize(
    ("level", "status", "told"),
    [("best", 0, "sandbox: seccomp"), ("require", 1, "SANDBOX: is require, but Landlock is not in force: this kernel")],
)
def test_a_kernel_without_landlock_is_reported_and_is_a_fault_if_it_is_required(
    level: str, status: int, told: str, tmp_path: Path
) -> None:
    def without_landlock() -> None:
        fail_calls(LANDLOCK_CREATE_RULESET, errno.ENOSYS)

    (tmp_path / "store").mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "proxy", "check", "--connect"],
        env={**os.environ, **settings(tmp_path), "SANDBOX": level},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=without_landlock,
    )
    assert result.returncode == status
    assert told in result.stdout + result.stderr
