"""`gf-images` on the command line."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from click.testing import CliRunner

from loadtest.paint import Photograph, paint
from proxy.cli.main import COMMANDS, main
from proxy.cli.serve import what_to_try
from proxy.settings.settings import Settings

if TYPE_CHECKING:
    import pytest
    from click.testing import Result

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or more").decode()


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_render_makes_every_size_and_shows_a_table(tmp_path: Path) -> None:
    paint(tmp_path / "photo.jpg", Photograph(width=900, height=600))
    result = run("render", str(tmp_path / "photo.jpg"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "photo_large.jpg",
        "photo_medium.jpg",
        "photo_small.jpg",
        "photo_xlarge.jpg",
    ]
    assert "300 x 200" in result.stdout


def test_render_goes_on_past_a_file_that_is_refused_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"this is not a picture")
    paint(tmp_path / "photo.png", Photograph(width=90, height=60))
    result = run("render", str(tmp_path / "text.jpg"), str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "text.jpg" in result.stderr
    assert (tmp_path / "out" / "photo_small.png").exists()


def test_render_of_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    result = run("render", str(tmp_path / "nowhere.jpg"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "nowhere.jpg" in result.stderr


def test_render_never_lets_one_file_overwrite_anothers_derivatives(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paint(tmp_path / folder / "photo.jpg", Photograph(width=90, height=60))
    result = run("render", *(str(tmp_path / folder / "photo.jpg") for folder in ("a", "b")), "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "same name" in result.stderr
    assert str(tmp_path / "a" / "photo.jpg") in result.stderr.replace("\n", "")


def test_render_never_overwrites_a_file_that_it_is_to_read(tmp_path: Path) -> None:
    for name in ("photo.jpg", "photo_small.jpg"):
        paint(tmp_path / name, Photograph(width=90, height=60))
    files = [str(tmp_path / name) for name in ("photo.jpg", "photo_small.jpg")]
    before = (tmp_path / "photo_small.jpg").read_bytes()
    result = run("render", *files, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "overwritten" in result.stderr
    assert (tmp_path / "photo_small.jpg").read_bytes() == before
    assert run("render", *files, "--out", str(tmp_path / "out")).exit_code == 0


def test_render_replaces_no_file_that_it_did_not_make_unless_it_is_told_to(tmp_path: Path) -> None:
    out, words = tmp_path / "out", ["render", str(tmp_path / "photo.jpg"), "--out", str(tmp_path / "out")]
    paint(tmp_path / "photo.jpg", Photograph(width=900, height=600))
    out.mkdir()
    (tmp_path / "notes.txt").write_text("of a person")
    (out / "photo_small.jpg").write_text("of a person")
    (out / "photo_large.jpg").symlink_to(tmp_path / "notes.txt")
    refused = run(*words)
    assert refused.exit_code == 1
    assert f"in {out}: photo_small.jpg, photo_large.jpg. Name another --out" in " ".join(refused.stderr.split())
    assert "--overwrite" in refused.stderr
    assert sorted(path.name for path in out.iterdir()) == ["photo_large.jpg", "photo_small.jpg"]
    assert (out / "photo_small.jpg").read_text() == "of a person"
    for more in ((), ("--overwrite",)):
        assert run(*words, "--json", *more).exit_code == (0 if more else 1)
    assert (tmp_path / "notes.txt").read_text() == "of a person"
    assert len([path for path in out.iterdir() if path.is_file() and not path.is_symlink()]) == 4
    assert run(*words).exit_code == 0  # the same bytes


def test_render_says_of_each_name_what_is_wrong_and_renders_the_others(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    strange = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.jpg")
    paint(tmp_path / "[red]photo.png", Photograph(width=90, height=60))
    Path(strange).write_bytes((tmp_path / "[red]photo.png").read_bytes())
    names = [str(tmp_path / name) for name in ("folder", "pipe", "[red]photo.png")]
    for words in ((), ("--json",)):
        result = run("render", *names, strange, "--out", str(tmp_path / "out"), *words)
        assert result.exit_code == 1
        assert result.output.count("not a regular file") == 2
        assert "UTF-8" in result.output
        assert "[red]photo_small.png" in result.output


def test_render_into_a_folder_that_cannot_be_made_is_wrong_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    result = run("render", "x.jpg", "--out", str(tmp_path / "file" / "out"))
    assert result.exit_code == 2
    assert "cannot be created" in result.stderr


def test_render_without_a_place_to_work_says_so(tmp_path: Path) -> None:
    """A process that may not write to any file simulates a full disk."""
    paint(tmp_path / "photo.png", Photograph(width=90, height=60))
    words = (str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"))
    found = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-m", "proxy", "render", *words],
        env={"PATH": os.environ["PATH"]},  # without coverage, which would fail to write its data
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stderr
    assert "cannot be written" in found.stderr
    assert "Traceback" not in found.stderr


def test_render_takes_other_sizes_and_answers_a_machine(tmp_path: Path) -> None:
    paint(tmp_path / "photo.jpg", Photograph(width=900, height=600))
    sizes = Path(__file__).parents[3] / "config" / "sizes-square.toml"
    result = run("render", str(tmp_path / "photo.jpg"), "--out", str(tmp_path), "--sizes-file", str(sizes), "--json")
    (line,) = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert [(made["size"], made["width"], made["height"]) for made in line["derivatives"]] == [
        ("thumbnail", 200, 200),
        ("medium", 512, 341),
        ("large", 900, 600),
        ("xlarge", 900, 600),
    ]


def test_a_sizes_file_that_is_wrong_is_wrong_words(tmp_path: Path) -> None:
    (tmp_path / "sizes.toml").write_text("[sizes.a]\nwidth = 0\n")
    result = run("render", "x.jpg", "--out", str(tmp_path), "--sizes-file", str(tmp_path / "sizes.toml"))
    assert result.exit_code == 2
    assert "sizes.a" in result.stderr


def test_check_shows_what_it_would_run_with_but_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", SECRET)
    monkeypatch.setenv("WORKERS", "7")
    result = run("check")
    assert result.exit_code == 0
    assert "WORKERS=7" in result.stdout
    assert "WEBHOOK_SECRETS=***" in result.stdout
    assert SECRET not in result.output
    assert msgspec.json.decode(run("check", "--json").stdout)["WORKERS"] == 7


def test_check_shows_no_password_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "s3://images")
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://images.test")
    monkeypatch.setenv("ORIGINALS_BASE_URL", "https://user:hunter2@images.test/a")
    result = run("check")
    assert result.exit_code == 0
    assert "ORIGINALS_BASE_URL=https://user:***@images.test/a" in result.stdout
    assert "hunter2" not in result.output + run("check", "--json").output
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://user:hunter2@127.0.0.1:9000")
    result = run("check")
    assert result.exit_code == 2
    assert "hunter2" not in result.output


def test_hints_say_how_to_put_an_original_where_the_store_is() -> None:
    assert "mkdir -p var/store/gall/1" in what_to_try(Settings())
    hints = what_to_try(Settings(store="s3://images", s3_endpoint_url="http://127.0.0.1:9000"))
    assert "mkdir" not in hints
    assert "s3://images/gall/1/1_1_original.jpg --endpoint-url http://127.0.0.1:9000" in hints


def test_hints_name_the_pages_for_people_if_there_are_any() -> None:
    assert "Open http://127.0.0.1:8080/ in a browser" in what_to_try(Settings(ui=True))
    assert "in a browser" not in what_to_try(Settings())


def test_hints_say_how_to_post_only_if_posts_need_no_signature() -> None:
    assert "curl -X POST http://127.0.0.1:8080/v1/jobs" in what_to_try(Settings())
    assert "curl -X POST" not in what_to_try(Settings(webhook_secrets=SECRET))


def test_nothing_is_claimed_to_listen_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PORT", "1")  # which restores what `serve` sets
        result = run("serve", "--hints", "--port", str(taken.getsockname()[1]))
    assert (result.exit_code, result.stdout) == (1, "")


def test_check_names_every_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("WORKERS", "65")
    result = run("check")
    assert result.exit_code == 2
    assert {line.partition(":")[0] for line in result.stderr.splitlines()} == {"PORT", "WORKERS"}


def test_the_openapi_document_can_be_printed() -> None:
    document = msgspec.json.decode(run("openapi").stdout)
    assert document["openapi"].startswith("3.1")
    assert "/img/{key}/{size}" in document["paths"]


def test_every_command_has_an_example() -> None:
    for command in COMMANDS:
        assert "Example:" in run(command, "--help").output, command


def test_check_shows_addresses_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, shown in (
        ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://user:hunter2@host?password=hunter2&db=1", "rediss://user:***@host?password=***&db=1"),
        ("postgresql://user:hunter2@host/queue?sslmode=require", "postgresql://user:***@host/queue?sslmode=require"),
        ("postgresql://user@host:5432/queue", "postgresql://user@host:5432/queue"),
    ):
        monkeypatch.setenv("QUEUE", url)
        result = run("check")
        assert f"QUEUE={shown}\n" in result.stdout
        assert "hunter2" not in result.output


def test_on_a_public_address_only_what_takes_posts_needs_a_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 - the address under test
    monkeypatch.setenv("WORKERS", "0")  # so that `worker` exits at once
    for command in (("openapi",), ("render", str(tmp_path / "nowhere.jpg"), "--out", str(tmp_path)), ("worker",)):
        assert "WEBHOOK_SECRETS" not in run(*command).stderr
    for command in (("serve",), ("check",)):
        result = run(*command)
        assert (result.exit_code, result.stderr.partition(":")[0]) == (2, "WEBHOOK_SECRETS")


def test_a_file_that_is_not_there_is_wrong_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS_FILE", "/nowhere")
    monkeypatch.setenv("PORT", "eighty")
    result = run("serve")
    assert result.exit_code == 2
    assert {line.partition(":")[0] for line in result.stderr.splitlines()} == {"WEBHOOK_SECRETS_FILE", "PORT"}


def test_a_worker_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "0")
    result = run("worker")
    assert result.exit_code == 2
    assert result.stderr.startswith("WORKERS: must be at least 1")
