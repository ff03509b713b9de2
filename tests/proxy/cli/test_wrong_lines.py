"""Wrong command lines: each message names what is wrong, where it is and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from proxy.cli.main import COMMANDS, main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

WRONG = {
    "chek": "No such command 'chek'. Did you mean 'check'?",
    "jobs lst": "No such command 'lst'. Did you mean 'list'?",
    "check --conect": "No such option '--conect'. Did you mean '--connect'?",
    "render": "Missing argument 'FILES...'. Example: gf-images render photo.jpg --out derivatives/",
    "render photo.jpg": "Missing option '--out'. Example: gf-images render photo.jpg --out derivatives/",
    "render photo.jpg --out": "Option '--out' requires an argument. Example: gf-images render photo.jpg",
    "serve 8080": "Unexpected argument '8080': gf-images serve takes only options. Remove it. Example: gf-images serve",
    "info a.jpg b.jpg": "Unexpected argument 'b.jpg': gf-images info takes URL|FILE and options. Remove it. Example:",
    "serve --port 99999": "Invalid value for '--port': '99999' is not a whole number from 1 to 65,535.",
    "serve --store photos": "'photos' must be file://<folder> or s3://<bucket>, such as file:///srv/images. Example: ",
    "render photo.jpg --out rows": "'--out': Directory 'rows' is a file. Example: gf-images render photo.jpg --out d",
    "render a.jpg --out b --sizes-file c": "--sizes-file: c cannot be read (No such file or directory). Name an",
    "takedown a_original.jpg --wait soon": "'soon' is not a number of at least 0. Example: gf-images takedown",
    "compare --old a --new b --report r --min-score inf": "'inf' is not a number of at most 100. Example: gf-images",
    "compare --old a --new b --report r --max-colour -1": "'-1' is not a number of at least 0.",
    "compare --old a --new b --report r --max-different 120%": "'120%' is more than 100%.",
    "takedown ../derivatives/gall/1/1_1_original.jpg": "contains a segment '.' or '..'; send the key without it.",
    "takedown /gall/1/1_1_original.jpg": "starts or ends with '/'; send the key without it. Name the key of an",
    "jobs list --url localhost:80": "Invalid value for '--url': 'localhost:80' must start with http:// or https://",
    "smoke localhost:80": "Invalid value for '[URL]': 'localhost:80' must start with http:// or https://",
    "info ftp://a/b": "ftp://a/b is not a URL that can be read. Name one with http:// or https://, or a file.",
    "jobs list --limit all": "Invalid value for '--limit': 'all' is not a whole number of at least 1.",
    "jobs list --older-than week": "'week' is not a number and a unit, such as 90s, 15m, 2h or 7d.",
    "reprocess --rate fast": "'fast' is not a rate, such as 5/s, 100/min or 2000/h.",
    "smoke --listen 9099": "'9099' must be an address and a port, such as 127.0.0.1:9099.",
    "jobs list --secret-file /nope": "'/nope': No such file or directory. Name a file that exists and is readable.",
    "check --env-file /nope": "--env-file: /nope cannot be read (No such file or directory). Name an existing file;",
}
"""What a message contains, by the command line."""

CONTRADICTIONS = {
    "--json check": "No such option '--json' before the command. Put options behind the command that they are for: "
    "gf-images COMMAND --json",
    "jobs --url http://a list": "Put options behind the command that they are for: gf-images jobs COMMAND --url",
    "photo.jpg render": "No such command 'photo.jpg'.",
    "render a.jpg --out a --out b": "--out is given more than once. Give it only once.",
    "reprocess --missing --all": "--missing and --all contradict each other. Use only one of them.",
    "reprocess --through-queue --missing": "--missing cannot be used with --through-queue: jobs also render stale",
    "reprocess --through-queue --workers 2": "--workers cannot be used with --through-queue: the workers of QUEUE",
    "reprocess --retry-failed rows --since 2026-11-01": "--since cannot be used with --retry-failed: a file of",
    "promote --undo --report r": "--undo and --report contradict each other. Use only one of them.",
    "promote --allow old-blurred": "--allow requires --report, because all derivatives are promoted without a report. "
    "Add --report, or remove --allow.",
    "compare --old prefix: --new b --report r --seed 2": "--seed requires --sample, because without a sample, every",
    "export": "No file is named to write to. Use --csv FILE or --sql FILE, or both.",
    "export --csv a --sql a": "--csv and --sql name the same file, a. Name two different ones.",
    "export --csv a --table t": "--table requires --sql, because only SQL names the table. Add --sql, or",
    "info http://a/img/a/small --sizes-file s": "--sizes-file has no effect on a URL: the running service has sizes of",
    "jobs replay": "No job is selected. Give the ids of jobs, options that select jobs (such as --code), or --all",
    "jobs replay 1 --all": "Ids and options that select jobs contradict each other. Remove the ids, or the options,",
    "jobs list --older-than 2d --newer-than 1h": "select no job: an age cannot be above 2d and below 1h. Exchange the",
    "smoke --callback-url http://a": "--callback-url requires --listen, because nothing would receive the callback.",
}
"""The same for words in a wrong order, and for options that contradict each other."""

INTERNAL = ("fork server", "child", "integer", "low-water", "checkpoint file", "singleflight", "litestar", "uvicorn")
"""Words that help texts and messages do without: how the service is built, and the types of libraries."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows").touch()
    monkeypatch.setenv("COLUMNS", "80")


def run(line: str) -> Result:
    return CliRunner().invoke(main, line.split(" "), prog_name="gf-images")


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command and subcommand by the words that run it."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", one) for each, one in command.commands.items())


@pytest.mark.parametrize("line", [*WRONG, *CONTRADICTIONS])
def test_a_wrong_line_is_refused_with_a_sentence_about_it(line: str) -> None:
    result = run(line)
    assert result.exit_code == 2, result.output
    assert (WRONG | CONTRADICTIONS)[line] in result.stderr
    assert not any(word in result.stderr.lower() for word in INTERNAL)


@pytest.mark.parametrize("group", ["", "jobs"])
def test_every_command_has_one_whole_line_of_help(group: str) -> None:
    lines = run(f"{group} --help".strip()).stdout.partition("Commands:\n")[2].splitlines()
    expected = sorted(name.split(" ")[-1] for name, _ in commands() if (" " in name) == bool(group))
    assert [line.split()[0] for line in lines] == expected
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


def test_every_option_has_a_help() -> None:
    for name, command in commands():
        options = [one for one in command.params if isinstance(one, click.Option)]
        assert all((one.help or "").endswith(".") for one in options), name


@pytest.mark.parametrize("line", [name for name, _ in commands()])
def test_the_help_has_an_example_and_no_internal_word(line: str) -> None:
    shown = run(f"{line} --help").stdout
    assert f"gf-images {line.split(maxsplit=1)[0]}" in shown.partition("Example:")[2]
    assert not [word for word in INTERNAL if word in shown.lower()]


def test_options_of_serve_have_priority_over_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOST", "::1"), ("PORT", "eighty"), ("STORE", "file:///elsewhere"), ("WEBHOOK_SECRETS", "")):
        monkeypatch.setenv(name, value)  # which restores what `serve` sets
    result = run("serve --host 0.0.0.0 --port 8099 --store file:///mine")
    assert result.exit_code == 2
    assert result.stderr.startswith("WEBHOOK_SECRETS: must be set, because HOST=0.0.0.0 is a public address")
    assert len(result.stderr.splitlines()) == 1
    assert (os.environ["PORT"], os.environ["STORE"]) == ("8099", "file:///mine")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str) -> None:
    shown = CliRunner().invoke(main, [], prog_name="gf-images", env={"_GF_IMAGES_COMPLETE": f"{shell}_source"})
    assert "_GF_IMAGES_COMPLETE" in shown.stdout


def test_the_words_of_a_line_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_GF_IMAGES_COMPLETE", "bash_complete")
    for words, number, expected in (
        ("gf-images re", 1, ["render", "reprocess"]),
        ("gf-images jobs can", 2, ["cancel"]),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(number))
        shown = CliRunner().invoke(main, [], prog_name="gf-images")
        assert [line.partition(",")[2] for line in shown.stdout.splitlines()] == expected
