"""`gf-images init` and `gf-images secret`."""

from __future__ import annotations

import os
import resource
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from proxy.cli.main import main
from proxy.settings import validators
from proxy.settings.env_file import read_env_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = os.umask(0)
    yield
    os.umask(before)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_secret_prints_a_valid_secret_and_another_one_each_time() -> None:
    printed = [run("secret").stdout for _ in range(2)]
    assert printed[0] != printed[1]
    for line in printed:
        assert line.endswith("\n")
        assert validators.secrets(line.strip()) is None


def test_init_writes_a_file_for_its_owner_only_with_a_valid_secret() -> None:
    assert run("init").exit_code == 0
    path = Path(".env")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    variables = read_env_file(path)
    assert [*variables] == ["WEBHOOK_SECRETS"]
    assert validators.secrets(variables["WEBHOOK_SECRETS"]) is None


def test_init_shows_the_secret_to_nobody_and_prints_what_to_do_next() -> None:
    result = run("init", "my settings.env")
    secret = read_env_file(Path("my settings.env"))["WEBHOOK_SECRETS"]
    assert secret not in result.output
    commands = [shlex.split(line)[1:] for line in result.stdout.splitlines() if line.startswith("  ")]
    assert [words[0] for words in commands] == ["check", "serve"]
    checked = run(*commands[0])
    assert (checked.exit_code, "WEBHOOK_SECRETS=***" in checked.stdout) == (0, True)


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_init_never_replaces_what_exists(kind: str) -> None:
    path = Path(".env")
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    result = run("init")
    assert result.exit_code == 2
    assert ".env exists, and is never replaced" in result.stderr
    assert not Path("elsewhere").exists()
    assert kind != "file" or path.read_text() == "mine"


def test_init_leaves_nothing_of_a_file_that_cannot_be_written() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # Python ignores SIGXFSZ, so a write fails
    try:
        result = run("init")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert not Path(".env").exists()


def test_every_setting_that_the_file_mentions_can_be_used_as_it_is() -> None:
    run("init")
    path = Path(".env")
    path.write_text(path.read_text().replace("# PORT=8080", "PORT=8099").replace("# STORE=", "STORE="))
    result = run("check", "--env-file", ".env")
    assert (result.exit_code, "PORT=8099" in result.stdout) == (0, True)
