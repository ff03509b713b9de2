"""A mistyped folder of the store is refused by every command that uses it, and not created."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from loadtest.servers.ports import free_port
from loadtest.servers.service import SECRET
from proxy.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

USERS = (
    "serve",
    "worker",
    "check --connect",
    "reprocess --dry-run",
    "reprocess --through-queue",
    "promote",
    "export --csv rows.csv",
    "compare --old prefix: --new prefix:shadow/ --report report",
    "compare --old derivatives --new http://127.0.0.1:9/files --report report --originals prefix:",
    "smoke http://127.0.0.1:9",
)
"""Commands that use the store, and their options."""

CREATORS = ("serve", "check --connect")
"""Those that create the default store: a service, and what tries everything that its first start would use."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "derivatives").mkdir()
    for name, value in (("METRICS_PORT", "0"), ("WEBHOOK_SECRETS", SECRET), ("SHADOW_PREFIX", "shadow/")):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("line", USERS)
def test_a_folder_that_does_not_exist_is_refused(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if line.startswith("export"):
        monkeypatch.delenv("SHADOW_PREFIX")
    monkeypatch.setenv("STORE", f"file://{tmp_path}/my stroe")
    result = CliRunner().invoke(main, line.split(" "))
    assert result.exit_code == 2, result.output
    (said,) = [one for one in result.stderr.splitlines() if "stroe" in one]
    assert f"STORE: the folder {tmp_path}/my stroe does not exist; correct the name, or create it: mkdir -p '" in said
    assert [path.name for path in tmp_path.iterdir()] == ["derivatives"]


@pytest.mark.parametrize("line", [line for line in USERS if line not in CREATORS])
def test_only_a_service_creates_the_default_store(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if line.startswith("export"):
        monkeypatch.delenv("SHADOW_PREFIX")
    monkeypatch.delenv("STORE", raising=False)
    result = CliRunner().invoke(main, line.split(" "))
    assert result.exit_code == 2, result.output
    assert f"STORE: the folder {tmp_path}/var/store does not exist" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["derivatives"]


def test_serve_names_its_option_and_the_other_one_that_creates_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", "file://var/store")  # restores what `serve` sets
    result = CliRunner().invoke(main, ["serve", "--store", "file://stroe"])
    assert result.exit_code == 2
    assert result.stderr == (
        f"--store: the folder {tmp_path}/stroe does not exist; correct the name, or create it: "
        f"mkdir -p {tmp_path}/stroe; or add --create-store\n"
    )


def test_check_warns_of_it_without_using_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", f"file://{tmp_path}/stroe")
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 0
    assert f"warning: STORE: the folder {tmp_path}/stroe does not exist; correct the name" in result.stderr
    monkeypatch.setenv("STORE", "file://var/store")
    assert "var/store does not exist" not in CliRunner().invoke(main, ["check"]).stderr


def test_two_folders_are_compared_without_any_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", f"file://{tmp_path}/stroe")
    words = "compare --old derivatives --new derivatives --report report"
    result = CliRunner().invoke(main, words.split(" "))
    assert result.exit_code == 1, result.output  # there is nothing to compare
    assert "stroe" not in result.stderr
    assert not (tmp_path / "stroe").exists()


@pytest.mark.parametrize("options", [[], ["--create-store", "--store", "file://photos"]])
def test_the_first_start_creates_the_default_store_and_another_one_on_request(
    tmp_path: Path, options: list[str]
) -> None:
    words = "serve", "--hints", "--port", str(free_port()), *options
    with subprocess.Popen([sys.executable, "-m", "proxy", *words], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert any(b"listens on" in line for line in process.stdout)
        process.terminate()
    assert process.returncode == 0
    assert (tmp_path / ("photos" if options else "var/store")).is_dir()
