"""`SHADOW_PREFIX` and `gf-images promote` on the command line, on a store in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from loadtest.paint import Photograph, paint
from proxy.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SIZES = "[sizes.small]\nwidth = 60\n[sizes.large]\nwidth = 240\n"
OLD = b"what the old backend made"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a store with two originals, one of which has an old derivative."""
    (tmp_path / "sizes.toml").write_text(SIZES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORE", f"file://{tmp_path}/store")
    monkeypatch.setenv("SIZES_FILE", str(tmp_path / "sizes.toml"))
    monkeypatch.setenv("SHADOW_PREFIX", "shadow/")
    folder = tmp_path / "store"
    for key in ("gall/1/1_original.jpg", "gall/2/2_original.jpg"):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        paint(folder / key, Photograph(width=300, height=200))
    (folder / "gall/1/1_small.jpg").write_bytes(OLD)
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(main, [*words])


def files(store: Path) -> dict[str, bytes]:
    plain = (path for path in store.rglob("*.jpg") if path.is_file())
    return {str(path.relative_to(store)): path.read_bytes() for path in plain}


def test_a_shadow_is_written_promoted_and_undone(store: Path) -> None:
    before = files(store)
    assert run("reprocess").exit_code == 0
    shadowed = files(store)
    assert set(shadowed) - set(before) == {
        f"shadow/gall/{number}/{number}_{size}.jpg" for number in (1, 2) for size in ("small", "large")
    }
    assert {key: shadowed[key] for key in before} == before
    result = run("promote")
    assert (result.exit_code, "Finished: 2 promoted" in result.stdout) == (0, True), result.output
    promoted = files(store)
    for key, body in shadowed.items():
        if key.startswith("shadow/"):
            assert promoted[key.removeprefix("shadow/")] == body
    assert promoted["replaced/gall/1/1_small.jpg"] == OLD
    assert "Finished: 2 fresh" in run("promote").stdout
    assert "Finished: 2 undone" in run("promote", "--undo").stdout
    assert files(store) == shadowed


def test_the_last_event_counts_what_the_command_does(store: Path) -> None:
    run("reprocess")
    for words, count in ((("promote",), "promoted"), (("promote", "--undo"), "undone")):
        events = [msgspec.json.decode(line) for line in run(*words, "--json").stdout.splitlines()]
        assert {event["result"] for event in events if event["event"] == "original"} == {count}
        assert {name for name in ("rendered", "promoted", "undone") if name in events[-1]} == {count}
        assert (events[-1]["event"], events[-1][count]) == ("ended", 2)


def test_what_was_promoted_is_fresh_to_a_service_without_a_shadow(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("reprocess")
    run("promote")
    monkeypatch.delenv("SHADOW_PREFIX")
    assert "Finished: 2 fresh" in run("reprocess", "--prefix", "gall/").stdout


def test_a_dry_run_names_what_would_be_copied(store: Path) -> None:
    run("reprocess")
    before = files(store)
    result = run("promote", "--dry-run", "--sizes", "small", "--prefix", "gall/2/")
    assert result.stdout.splitlines()[0] == "gall/2/2_original.jpg: would be copied: small"
    assert files(store) == before


def test_only_what_passed_a_comparison_goes_live(store: Path, tmp_path: Path) -> None:
    run("reprocess", "--prefix", "gall/")
    report = str(tmp_path / "report")
    compared = run("compare", "--old", "prefix:", "--new", "prefix:shadow/", "--report", report, "--processes", "1")
    assert compared.exit_code == 1, compared.output
    before = files(store)
    assert run("promote", "--report", report).exit_code == 0
    assert files(store) == before, "all of it differs: the old backend made one, and that is no picture"
    result = run("promote", "--report", report, "--allow", "old-missing")
    assert result.exit_code == 0, result.output
    there = files(store)
    assert {key for key in there if key not in before} == {
        "gall/1/1_large.jpg",
        "gall/2/2_large.jpg",
        "gall/2/2_small.jpg",
    }
    assert there["gall/1/1_small.jpg"] == OLD


def test_what_was_not_compared_has_not_passed(store: Path, tmp_path: Path) -> None:
    run("reprocess", "--prefix", "gall/")
    words = "--old", "prefix:", "--new", "prefix:shadow/", "--report", str(tmp_path / "report"), "--processes", "1"
    run("compare", *words, "--prefix", "gall/2/", "--sizes", "small")
    before = files(store)
    run("promote", "--report", str(tmp_path / "report"), "--allow", "old-missing")
    assert {key for key in files(store) if key not in before} == {"gall/2/2_small.jpg"}


def compared(report: Path, *words: str, old: str = "prefix:", new: str = "prefix:shadow/") -> Result:
    told = run("compare", "--old", old, "--new", new, "--report", str(report), "--processes", "1", *words)
    assert (report / "report.json").exists(), told.output
    return told


def test_what_was_made_anew_since_the_comparison_stays_in_the_shadow_and_is_named(store: Path, tmp_path: Path) -> None:
    run("reprocess", "--prefix", "gall/")
    report = tmp_path / "report"
    compared(report)
    paint(store / "gall/2/2_original.jpg", Photograph(width=300, height=200, seed=7))
    run("reprocess", "--prefix", "gall/2/")
    before = files(store)
    result = run("promote", "--report", str(report), "--allow", "old-missing")
    assert "gall/2/2_original.jpg: rendered since the comparison: small, large" in result.stdout, result.output
    assert {key for key in files(store) if key not in before} == {"gall/1/1_large.jpg"}
    compared(report)
    run("promote", "--report", str(report), "--allow", "old-missing")
    assert files(store)["gall/2/2_small.jpg"] == files(store)["shadow/gall/2/2_small.jpg"]


def test_what_was_missing_when_it_was_compared_and_was_made_since_stays_in_the_shadow(
    store: Path, tmp_path: Path
) -> None:
    compared(tmp_path / "report", "--originals", "prefix:")
    run("reprocess", "--prefix", "gall/")
    before = files(store)
    allowed = "--allow", "new-missing", "--allow", "old-missing"
    result = run("promote", "--report", str(tmp_path / "report"), *allowed)
    assert "gall/1/1_original.jpg: rendered since the comparison: small" in result.stdout, result.output
    assert files(store) == before


@pytest.mark.parametrize(
    ("sides", "description"),
    [
        ({"new": "prefix:other/"}, "its --new is prefix:other/, but by SHADOW_PREFIX it must be prefix:shadow/"),
        ({"new": "prefix:"}, "its --new is prefix:, but by SHADOW_PREFIX it must be prefix:shadow/"),
        ({"new": "store/shadow"}, "its --new is store/shadow, but by SHADOW_PREFIX it must be prefix:shadow/"),
        ({"old": "prefix:shadow/"}, "its --old is prefix:shadow/, but the live names are prefix:"),
    ],
)
def test_a_report_of_other_sides_ends_with_2_and_lets_nothing_pass(
    store: Path, tmp_path: Path, sides: dict[str, str], description: str
) -> None:
    run("reprocess", "--prefix", "gall/")
    compared(tmp_path / "report", "--originals", "prefix:", **sides)
    before = files(store)
    result = run("promote", "--report", str(tmp_path / "report"), "--allow", "old-missing")
    assert (result.exit_code, description in " ".join(result.stderr.split())) == (2, True), result.output
    assert files(store) == before


@pytest.mark.parametrize(("name", "value"), [("STORE", "file://elsewhere"), ("S3_ENDPOINT_URL", "http://127.0.0.1:9")])
def test_a_report_of_another_store_ends_with_2(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    run("reprocess", "--prefix", "gall/")
    compared(tmp_path / "report")
    before = files(store)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv(name, value)
    result = run("promote", "--report", str(tmp_path / "report"), "--allow", "old-missing")
    assert (result.exit_code, "another store" in result.stderr) == (2, True), result.output
    assert files(store) == before


def test_a_report_that_is_none_lets_nothing_pass(store: Path, tmp_path: Path) -> None:
    run("reprocess", "--prefix", "gall/")
    before = files(store)
    (tmp_path / "report.json").write_text("{}")
    for folder, description in (("nowhere", "cannot read"), ("", "is not a report of a comparison")):
        result = run("promote", "--report", str(tmp_path / folder))
        assert (result.exit_code, description in result.stderr) == (2, True), result.output
        assert files(store) == before


@pytest.mark.parametrize(
    ("words", "prefix", "description"),
    [
        (["promote"], "", "SHADOW_PREFIX must be set"),
        (["promote", "--sizes", "huge"], "shadow/", "unknown size huge"),
        (["promote", "--allow", "colour"], "shadow/", "--allow requires --report"),
    ],
)
def test_wrong_words_say_what_to_do(
    store: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], prefix: str, description: str
) -> None:
    monkeypatch.setenv("SHADOW_PREFIX", prefix)
    result = run(*words)
    assert (result.exit_code, description in result.stderr) == (2, True), result.output
    assert len(files(store)) == 3


@pytest.mark.parametrize("prefix", ["shadow", "/shadow/", "a//", "../", "replaced/"])
def test_a_prefix_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setenv("SHADOW_PREFIX", prefix)
    result = run("check")
    assert (result.exit_code, "SHADOW_PREFIX: " in result.stderr) == (2, True), result.output
