"""The state of a run on disk, and how the next run resumes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.bulk.checkpoint import RunProgress
from proxy.bulk.events import OriginalDone
from proxy.bulk.originals import FailedOriginal
from proxy.bulk.own_folder import MARKER
from proxy.bulk.state_dir import OtherRun, StateDir
from proxy.errors import CannotStart, GaveUp
from tests.held import flushes
from tests.proxy.bulk.runs import OPTIONS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    one = StateDir(tmp_path / "state")
    with one.locked():
        return one


async def test_a_run_goes_on_where_its_progress_was_when_it_was_killed(state: StateDir) -> None:
    checkpoint = state.load(OPTIONS)
    progress = RunProgress(checkpoint, state)
    for key in "abcd":
        assert await progress.begin(key)
    for key in "abd":
        await progress.record(OriginalDone(key=key, result="rendered"))
    again = state.load(OPTIONS)
    assert (again.run, again.after, again.done, again.tally.changed) == (checkpoint.run, "b", ("d",), 3)
    assert again.has_started
    assert not checkpoint.has_started
    progress = RunProgress(again, state)
    assert [key for key in "cde" if await progress.begin(key)] == ["c", "e"]


async def test_a_run_does_not_go_on_with_one_that_was_asked_for_something_else(state: StateDir) -> None:
    await state.save(state.load(OPTIONS))
    other = msgspec.structs.replace(OPTIONS, prefix="gall/", profiles=("2",))
    with pytest.raises(OtherRun, match=r"\(--prefix, render profiles\)"):
        state.load(other)
    state.clear()
    assert state.load(other).options == other


def test_two_runs_at_once_keep_out_of_each_others_way(tmp_path: Path) -> None:
    with StateDir(tmp_path).locked(), pytest.raises(CannotStart, match="another run"), StateDir(tmp_path).locked():
        pass
    with StateDir(tmp_path).locked():
        pass


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["checkpoint.json"], "checkpoint.json"),
        (["lock", "checkpoint.json", "model/weights"], "model/"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
        (["failures-20261124T031112Z.jsonl"], "failures-"),
    ],
)
def test_a_folder_with_files_of_others_is_refused_and_stays_as_it_is(
    tmp_path: Path, files: list[str], named: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("of a person")
    with pytest.raises(CannotStart) as refused, StateDir(tmp_path).locked():
        pass
    assert str(refused.value).startswith(f"--state: {tmp_path} has files that no reprocessing run created: {named}")
    assert str(refused.value).endswith("name a new or an empty folder, or move these files.")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(files)


async def test_a_checkpoint_alone_is_of_an_older_version(state: StateDir, tmp_path: Path) -> None:
    await state.save(state.load(OPTIONS))
    (tmp_path / "state" / "lock").unlink()
    (tmp_path / "state" / MARKER).unlink()
    with StateDir(tmp_path / "state").locked():
        assert (tmp_path / "state" / MARKER).exists()


def test_the_folder_of_an_older_version_is_taken(tmp_path: Path) -> None:
    for name in ("lock", "checkpoint.json", "checkpoint.new", f"failures-20261124T031112Z-{'0' * 12}.jsonl"):
        (tmp_path / name).touch()
    with StateDir(tmp_path).locked():
        assert (tmp_path / MARKER).exists()
    (tmp_path / "notes.txt").touch()
    with StateDir(tmp_path).locked():
        pass


def test_the_folder_of_another_command_or_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    for mark, fault in (
        ('{"kind": "comparison", "version": 1}', "is the folder of a comparison, not of a reprocessing run; name"),
        ('{"kind": "reprocessing run", "version": 2}', "was created by a newer version of gf-images; use that"),
    ):
        (tmp_path / MARKER).write_text(mark)
        with pytest.raises(CannotStart, match=f"--state: .* {fault}"), StateDir(tmp_path).locked():
            pass
        assert (tmp_path / MARKER).read_text() == mark


def test_a_new_folder_is_flushed_with_all_that_is_above_it(tmp_path: Path) -> None:
    with flushes() as flushed, StateDir(tmp_path / "var" / "runs" / "state").locked():
        pass
    assert {tmp_path, tmp_path / "var", tmp_path / "var" / "runs"} <= set(flushed)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="cannot write"), StateDir(tmp_path / "file" / "state").locked():
        pass


def test_a_checkpoint_that_makes_no_sense_is_told(state: StateDir, tmp_path: Path) -> None:
    (tmp_path / "state" / "checkpoint.json").write_bytes(b'{"run": ')
    with pytest.raises(CannotStart, match="--restart"):
        state.load(OPTIONS)


async def test_a_failure_is_in_its_file_before_it_counts(state: StateDir) -> None:
    checkpoint = state.load(OPTIONS)
    progress = RunProgress(checkpoint, state)
    await progress.begin("a")
    await progress.record(OriginalDone(key="a", result="failed", code="corrupt", detail="ends\tearly"))
    kept = msgspec.json.decode(state.failures_path(checkpoint).read_bytes(), type=FailedOriginal)
    assert kept == FailedOriginal(key="a", code="corrupt", detail="ends\tearly")
    assert state.load(OPTIONS).tally.faults == {"corrupt": 1}


async def test_a_disk_that_takes_no_more_ends_the_run(state: StateDir, tmp_path: Path) -> None:
    checkpoint = state.load(OPTIONS)
    (tmp_path / "state" / "checkpoint.new").mkdir()
    with pytest.raises(GaveUp, match="may be processed again"):
        await state.save(checkpoint)
