"""Exit codes: the same for every command, and as docs/reference/exit-codes.md lists them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from proxy.cli.main import COMMANDS, main

if TYPE_CHECKING:
    from click.testing import Result

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "exit-codes.md"

CODES = re.compile(r"Exit codes(?: of every command)?: (.+?)\.(?:\n|$)", re.DOTALL)

WITHOUT_SETTINGS = {"init", "secret"}
"""Commands that read no settings."""

GIVEN = {
    "compare": ["--old", "prefix:", "--new", "prefix:shadow/", "--report", "report"],
    "export": ["--csv", "rows.csv"],
    "facts": ["photo.jpg"],
    "info": ["photo.jpg"],
    "jobs": ["list"],
    "render": ["photo.jpg", "--out", "out"],
    "takedown": ["gall/1_original.jpg"],
}
"""What a command requires."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var/store").mkdir(parents=True)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def listed(command: str) -> dict[str, str]:
    """Return the exit codes in the help of a command, with their meanings."""
    found = main.get_command(click.Context(main), command)
    assert found is not None
    codes = CODES.search(found.help or "")
    assert codes, command
    entries = (entry.split(", ", 1) for entry in " ".join(codes[1].split()).split("; "))
    return {code: meaning[0].upper() + meaning[1:] for code, meaning in entries}


def row(command: str) -> str:
    """Return the row of a command in the table."""
    codes = listed(command)
    others = "; ".join(f"{code}: {codes[code]}" for code in codes if code not in {"0", "1", "2"})
    return f"| `{command}` | {codes['0']} | {codes.get('1', '')} | {codes['2']} | {others} |"


def test_the_page_has_the_codes_of_every_command_as_its_help_has_them() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("| `")] == [row(command) for command in COMMANDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_a_usage_error(command: str) -> None:
    result = run(command, "--nonsense")
    assert result.exit_code == 2, result.output
    assert "--nonsense" in result.stderr


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in WITHOUT_SETTINGS])
def test_invalid_settings_are_a_usage_error(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    result = run(command, *GIVEN.get(command, []))
    assert (result.exit_code, result.stderr) == (2, "PORT: must be a whole number, such as 8080\n")


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "--old", "prefix:", "--new", "/nope", "--report", "report"],
        ["compare", "--old", "/nope", "--new", "prefix:", "--report", "report"],
        ["compare", "--old", "prefix:", "--new", "prefix:shadow/", "--originals", "/nope", "--report", "report"],
        ["compare", "--old", "prefix:", "--new", "prefix:shadow/", "--report", "/dev/null/report"],
        ["export", "--csv", "/nope/rows.csv"],
        ["init", "/nope/.env"],
        ["jobs", "list", "--secret-file", "/nope"],
        ["promote", "--report", "/nope"],
        ["render", "photo.jpg", "--out", "/dev/null/out"],
        ["render", "photo.jpg", "--out", "out", "--sizes-file", "/nope"],
        ["reprocess", "--retry-failed", "/nope"],
        ["reprocess", "--state", "/dev/null/state"],
        ["serve", "--env-file", "/nope"],
    ],
    ids=" ".join,
)
def test_an_option_that_names_what_cannot_be_used_is_a_usage_error(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if words[0] == "promote":
        monkeypatch.setenv("SHADOW_PREFIX", "shadow/")
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert any(word in result.stderr for word in words if word.startswith("/")), result.stderr


@pytest.mark.parametrize("command", ["jobs", "takedown", "smoke"])
def test_a_service_that_cannot_be_reached_is_a_failure(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:1")
    result = run(command, *GIVEN.get(command, []))
    assert result.exit_code == 1, result.output
    assert "127.0.0.1:1" in result.output


@pytest.mark.parametrize("command", ["facts", "info", "render"])
def test_a_file_that_is_no_picture_is_a_failure(command: str) -> None:
    Path("photo.jpg").write_text("no picture")
    assert run(command, *GIVEN[command]).exit_code == 1


def test_a_ctrl_c_ends_a_command_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    command = main.get_command(click.Context(main), "secret")
    assert command is not None

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "callback", interrupt)
    result = run("secret")
    assert (result.exit_code, result.stderr) == (130, "\nInterrupted.\n")
