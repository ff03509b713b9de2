"""`gf-images reprocess` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from loadtest.paint import Photograph, paint
from proxy.cli.main import main

if TYPE_CHECKING:
    from click.testing import Result

SIZES = "[sizes.small]\nwidth = 60\n[sizes.large]\nwidth = 240\n"
BAD = "gall/2/bad_original.jpg"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a store with four originals, one of which is not an image."""
    (tmp_path / "sizes.toml").write_text(SIZES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORE", f"file://{tmp_path}/store")
    monkeypatch.setenv("SIZES_FILE", str(tmp_path / "sizes.toml"))
    folder = tmp_path / "store"
    for key in ("gall/1/1_original.jpg", "gall/2/2_original.jpg", "other/3_original.png"):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        paint(folder / key, Photograph(width=300, height=200))
    (folder / BAD).write_bytes(b"no picture")
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["reprocess", *words])


def made(store: Path) -> list[str]:
    found = [path for path in store.rglob("*.*") if path.stem.endswith(("_small", "_large"))]
    return sorted(str(path.relative_to(store)) for path in found)


def events(result: Result, kind: str) -> list[dict[str, object]]:
    told = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    return [event for event in told if event["event"] == kind]


def test_a_dry_run_says_what_would_be_made_and_why_and_makes_nothing(store: Path) -> None:
    result = run("--dry-run", "--prefix", "gall/1/")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "gall/1/1_original.jpg: missing: small, large"
    assert "1 due" in result.stdout
    assert made(store) == []
    assert not Path("var").exists()


def test_everything_is_made_what_fails_is_named_and_the_budget_decides_how_it_ends(store: Path) -> None:
    result = run("--workers", "2")
    assert result.exit_code == 1
    assert len(made(store)) == 6
    assert f"Failed {BAD}: not-an-image: " in result.stderr
    assert "Finished: 3 rendered, 1 failed" in result.stdout
    assert "More originals failed than --max-failures allows." in result.stdout
    (failures,) = Path("var/reprocess").glob("failures-*.jsonl")
    assert msgspec.json.decode(failures.read_bytes())["key"] == BAD
    assert not Path("var/reprocess/checkpoint.json").exists()


@pytest.mark.slow
def test_a_second_run_renders_nothing_and_those_that_failed_can_be_tried_again(store: Path) -> None:
    run()
    result = run("--max-failures", "1")
    assert result.exit_code == 0, result.output
    assert "Finished: 3 fresh, 1 failed" in result.stdout
    paint(store / BAD, Photograph(width=300, height=200))
    failures = result.stdout.rpartition("--retry-failed ")[2].strip()
    result = run("--retry-failed", failures, "--json")
    assert result.exit_code == 0, result.output
    assert [event["key"] for event in events(result, "original")] == [BAD]
    assert len(made(store)) == 8


def test_each_event_is_a_line_of_json(store: Path) -> None:
    result = run("--json", "--sizes", "small, small", "--max-failures", "30%")
    assert result.exit_code == 0, result.output
    (started,) = events(result, "started")
    assert (started["mode"], started["sizes"]) == ("stale", ["small"])
    assert {event["key"]: event["result"] for event in events(result, "original")} == {
        "gall/1/1_original.jpg": "rendered",
        "gall/2/2_original.jpg": "rendered",
        "other/3_original.png": "rendered",
        BAD: "failed",
    }
    (ended,) = events(result, "ended")
    assert (ended["rendered"], ended["faults"], ended["is_within_budget"]) == (3, {"not-an-image": 1}, True)


def test_a_limit_ends_a_run_and_the_next_goes_on_to_others(store: Path) -> None:
    for _ in range(3):
        assert run("--limit", "1", "--prefix", "gall/", "--max-failures", "1").exit_code == 0
    assert made(store) == [f"gall/{one}/{one}_{size}.jpg" for one in "12" for size in ("large", "small")]


@pytest.mark.slow
def test_a_limit_takes_all_by_turns_and_then_begins_anew(store: Path) -> None:
    told = [run("--all", "--limit", "1", "--prefix", "gall/", "--max-failures", "1", "--json") for _ in range(5)]
    keys = [[event["key"] for event in events(result, "original")] for result in told]
    first, second = "gall/1/1_original.jpg", "gall/2/2_original.jpg"
    assert keys == [[first], [second], [BAD], [first], [second]]
    assert len(made(store)) == 4


@pytest.mark.parametrize("words", [["--prefix", "gal/"], ["--prefix", "gall/1/2"]])
def test_where_no_original_is_it_is_asked_whether_the_words_are_right(store: Path, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 0
    assert "No original was found. Check STORE and --prefix." in result.stdout
    assert made(store) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("KEY_LAYOUT", "prefix"), ("SHADOW_PREFIX", "shadow/")],
)
def test_an_unfinished_run_of_other_settings_is_not_gone_on_with(
    store: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    assert run("--limit", "1", "--max-failures", "1").exit_code == 0
    monkeypatch.setenv(setting, value)
    result = run()
    assert (result.exit_code, f"has other options or settings ({setting})" in result.stderr) == (2, True), result.output
    assert len(made(store)) == 2


def test_a_checkpoint_that_cannot_be_read_is_named(store: Path) -> None:
    assert run("--limit", "1", "--max-failures", "1").exit_code == 0
    before = made(store)
    Path("var/reprocess/checkpoint.json").unlink()
    Path("var/reprocess/checkpoint.json").mkdir()
    result = run()
    assert (result.exit_code, "cannot read var/reprocess/checkpoint.json" in result.stderr) == (2, True), result.output
    assert made(store) == before


def test_only_what_changed_since_is_seen_to(store: Path) -> None:
    result = run("--since", "2999-01-01")
    assert result.exit_code == 0, result.output
    assert "no originals" in result.stdout
    assert made(store) == []


@pytest.mark.slow
def test_all_makes_again_what_is_fresh(store: Path) -> None:
    run("--prefix", "gall/1/")
    assert "1 fresh" in run("--prefix", "gall/1/", "--missing").stdout
    assert "1 rendered" in run("--prefix", "gall/1/", "--all").stdout
    assert "1 rendered" in run("--prefix", "gall/1/", "--all").stdout


@pytest.mark.parametrize(
    ("words", "description"),
    [
        (["--sizes", "huge"], "unknown size huge. Known sizes: small, large."),
        (["--sizes", ","], "contains no name"),
        (["--rate", "fast"], "not a rate"),
        (["--since", "yesterday"], "not a date"),
        (["--max-failures", "few"], "neither a percentage"),
        (["--missing", "--through-queue"], "cannot be used with --through-queue"),
        (["--retry-failed", "nowhere"], "does not exist"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_wrong_words_end_with_two_and_say_what_is_wrong(store: Path, words: list[str], description: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert description in " ".join(result.stderr.split())


def test_since_does_not_go_with_a_file_that_knows_no_dates(store: Path) -> None:
    Path("failures.jsonl").touch()
    assert run("--retry-failed", "failures.jsonl", "--since", "2026-01-01").exit_code == 2


def test_a_store_that_is_not_where_it_was_said_to_be_ends_with_its_sentence(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", f"file://{store}/gall/1/1_original.jpg")
    result = run()
    assert result.exit_code == 1
    assert "The file store" in result.stderr
