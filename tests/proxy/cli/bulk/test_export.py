"""`gf-images export` on the command line, on a store in a folder."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from loadtest.paint import Photograph, paint
from proxy.cli.main import main

if TYPE_CHECKING:
    from click.testing import Result

SIZES = "[sizes.small]\nwidth = 60\n[sizes.large]\nwidth = 240\n"
KEYS = ("gall/1/1_original.jpg", "gall/2/it's 2_original.jpg")
OTHER = "other/3_original.png"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a store with three originals."""
    (tmp_path / "sizes.toml").write_text(SIZES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORE", f"file://{tmp_path}/store")
    monkeypatch.setenv("SIZES_FILE", str(tmp_path / "sizes.toml"))
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://cdn.test")
    folder = tmp_path / "store"
    for key in (*KEYS, OTHER):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        paint(folder / key, Photograph(width=300, height=200, gps=True))
    return folder


def run(*words: str, command: str = "export") -> Result:
    return CliRunner().invoke(main, [command, *words])


def rows(file: str = "pictures.csv") -> dict[str, dict[str, str]]:
    with Path(file).open(newline="", encoding="utf-8") as read:
        return {row["path"]: row for row in csv.DictReader(read)}


@pytest.mark.usefixtures("store")
def test_one_command_renders_what_is_missing_and_writes_the_row_of_each_picture() -> None:
    result = run("--prefix", "gall/", "--csv", "pictures.csv", "--sql", "pictures.sql", "--render")
    assert (result.exit_code, "Finished: 2 exported" in result.stdout) == (0, True), result.output
    assert set(rows()) == set(KEYS)
    for key, row in rows().items():
        assert (row["width"], row["height"], row["color"][0]) == ("300", "200", "#")
        assert (row["lqip"][:22], bool(row["thumbhash"])) == ("data:image/webp;base64", True)
        picture = json.loads(row["picture"])
        assert (picture["key"], [size["width"] for size in picture["sizes"]]) == (key, [60, 240])
        assert picture["srcset"]["image/jpeg"].startswith("https://cdn.test/gall/")
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE image (path, width, height, color, lqip, thumbhash, picture)")
    database.executemany("INSERT INTO image (path) VALUES (?)", [[key] for key in KEYS])
    database.executescript(Path("pictures.sql").read_text(encoding="utf-8"))
    assert dict(database.execute("SELECT path, width FROM image")) == dict.fromkeys(KEYS, 300)
    database.close()
    assert not [*Path().glob("*.partial")]


def test_what_the_service_has_not_rendered_is_listed_and_left_out(store: Path) -> None:
    assert run("--prefix", "gall/1/", command="reprocess").exit_code == 0
    (store / "gall/2/it's 2_small.jpg").write_bytes((store / "gall/1/1_large.jpg").read_bytes())  # by another program
    result = run("--csv", "pictures.csv")
    assert result.exit_code == 1
    assert set(rows()) == {KEYS[0]}
    assert f"{KEYS[1]}: not rendered by this version: small, large" in result.stdout
    assert "2 due" in result.stdout
    assert "--render" in result.stderr
    assert not (store / "gall/2/it's 2_large.jpg").exists()


def test_an_original_that_cannot_be_rendered_is_named_and_the_others_have_their_rows(store: Path) -> None:
    (store / "gall/3").mkdir()
    (store / "gall/3/3_original.jpg").write_bytes(b"no picture")
    result = run("--csv", "pictures.csv", "--render")
    assert result.exit_code == 1
    assert "Failed gall/3/3_original.jpg: not-an-image" in result.stderr
    assert set(rows()) == {*KEYS, OTHER}
    assert run("--csv", "again.csv", "--render", "--max-failures", "1").exit_code == 0
    assert rows("again.csv") == rows()


@pytest.mark.usefixtures("store")
def test_a_file_that_exists_is_replaced_only_as_a_whole_and_only_if_asked() -> None:
    Path("pictures.csv").write_text("mine")
    result = run("--csv", "pictures.csv", "--render")
    assert (result.exit_code, Path("pictures.csv").read_text()) == (2, "mine")
    assert "--overwrite" in result.stderr
    assert run("--csv", "pictures.csv", "--render", "--overwrite").exit_code == 0
    assert len(rows()) == 3


@pytest.mark.usefixtures("store")
def test_a_run_that_cannot_write_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("--csv", "nowhere/pictures.csv")
    assert (result.exit_code, "nowhere" in result.stderr) == (2, True)
    monkeypatch.setenv("STORE", "file:///dev/null/store")
    assert run("--csv", "pictures.csv").exit_code == 1
    assert not [*Path().glob("pictures*")]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ((), "--csv FILE or --sql FILE"),
        (("--sql", "a.sql", "--table", "image; --"), "--table"),
        (("--sql", "a.sql", "--key-column", "a b"), "--key-column"),
        (("--csv", "a.csv", "--max-failures", "many"), "--max-failures"),
    ],
)
def test_words_that_make_no_sense_are_usage_errors(words: tuple[str, ...], fault: str) -> None:
    result = run(*words)
    assert (result.exit_code, fault in result.stderr) == (2, True), result.output


@pytest.mark.usefixtures("store")
def test_rows_of_a_shadow_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOW_PREFIX", "shadow/")
    result = run("--csv", "pictures.csv")
    assert (result.exit_code, "SHADOW_PREFIX" in result.stderr) == (2, True)


@pytest.mark.usefixtures("store")
def test_events_are_json_lines() -> None:
    result = run("--csv", "pictures.csv", "--render", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events][:1] == ["started"]
    assert {event["result"] for event in events if event["event"] == "original"} == {"exported"}
    assert (events[-1]["event"], events[-1]["exported"]) == ("ended", 3)
