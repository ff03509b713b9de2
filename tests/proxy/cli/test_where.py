"""Bulk commands on a store with several prefixes of originals, one of which has sizes of its own, one a layout."""

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

SIZES = """
[sizes.small]
width = 60
[sizes.large]
width = 240
"""
WHERE = """
[[where]]
prefix = "keys/"
sizes = ["large"]
[[where]]
prefix = "articles/"
layout = "prefix"
"""
GALL, KEY, ARTICLE, OTHER = "gall/1/1_original.jpg", "keys/1/1_original.jpg", "articles/1/1.jpg", "old/1_original.jpg"
DERIVATIVES = {
    "gall/1/1_small.jpg",
    "gall/1/1_large.jpg",
    "keys/1/1_large.jpg",
    "derivatives/articles/1/1.jpg/small.jpg",
    "derivatives/articles/1/1.jpg/large.jpg",
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a store with an original below each prefix, and one elsewhere."""
    (tmp_path / "sizes.toml").write_text(SIZES + WHERE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORE", f"file://{tmp_path}/store")
    monkeypatch.setenv("SIZES_FILE", str(tmp_path / "sizes.toml"))
    monkeypatch.setenv("ORIGINALS_PREFIX", "keys/,gall/,articles/")
    folder = tmp_path / "store"
    for key in (GALL, KEY, ARTICLE, OTHER):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        paint(folder / key, Photograph(width=300, height=200))
    return folder


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, [*words])
    assert result.exit_code == 0, result.output
    return result


def made(store: Path) -> set[str]:
    files = {str(path.relative_to(store)) for path in store.rglob("*.jpg") if path.is_file()}
    return files - {GALL, KEY, ARTICLE, OTHER}


def test_all_prefixes_are_walked_and_each_original_gets_its_own_sizes(store: Path) -> None:
    due = run("reprocess", "--dry-run").stdout
    assert f"{KEY}: missing: large" in due.splitlines()
    assert OTHER not in due
    assert "Finished: 3 rendered" in run("reprocess").stdout
    assert made(store) == DERIVATIVES
    assert "Finished: 3 fresh" in run("reprocess").stdout
    assert "3 fresh" in run("reprocess", "--dry-run").stdout


def test_a_size_that_some_originals_do_not_have_is_made_of_the_others(store: Path) -> None:
    assert "Finished: 2 rendered, 1 fresh" in run("reprocess", "--sizes", "small").stdout
    assert made(store) == {key for key in DERIVATIVES if "small" in key}


def test_a_table_makes_nothing_stale_below_other_prefixes(store: Path, tmp_path: Path) -> None:
    (tmp_path / "sizes.toml").write_text(SIZES)
    run("reprocess")
    (tmp_path / "sizes.toml").write_text(SIZES + WHERE)
    due = run("reprocess", "--dry-run").stdout.splitlines()
    assert not any(line.startswith(GALL) for line in due)


def test_an_unfinished_run_does_not_resume_with_other_tables(store: Path, tmp_path: Path) -> None:
    run("reprocess", "--limit", "1")
    (tmp_path / "sizes.toml").write_text(SIZES)
    result = CliRunner().invoke(main, ["reprocess"])
    assert result.exit_code == 2
    assert "[[where]] tables of SIZES_FILE" in result.output
    assert made(store)


def test_the_shadow_is_compared_and_promoted_with_the_sizes_of_each_original(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("reprocess")
    monkeypatch.setenv("SHADOW_PREFIX", "shadow/")
    run("reprocess")
    before = made(store)
    assert before == DERIVATIVES | {f"shadow/{key}" for key in DERIVATIVES}
    ended = run(
        "compare", "--old", "prefix:", "--new", "prefix:shadow/", "--report", "report", "--json"
    ).stdout.splitlines()[-1]
    assert {name: msgspec.json.decode(ended)[name] for name in ("originals", "alike", "absent", "different")} == {
        "originals": 3,
        "alike": 5,
        "absent": 0,
        "different": 0,
    }
    for key in DERIVATIVES:
        (store / key).write_bytes(b"what another backend made")
    assert "Finished: 3 promoted" in run("promote", "--report", "report").stdout
    assert made(store) - before == {f"replaced/{key}" for key in DERIVATIVES}
    assert "Finished: 3 undone" in run("promote", "--undo").stdout
    assert made(store) == before


@pytest.mark.usefixtures("store")
def test_check_lists_the_tables() -> None:
    lines = run("check").stdout.splitlines()
    assert "where keys/: sizes large; layout site" in lines
    assert "where articles/: sizes small, large; layout prefix" in lines
