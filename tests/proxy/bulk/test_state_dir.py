"""The state of a run on disk, and how the next run resumes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.bulk.checkpoint import RunProgress
from proxy.bulk.events import OriginalDone
from proxy.bulk.originals import FailedOriginal
from proxy.bulk.state_dir import OtherRun, StateDir
from proxy.errors import CannotStart, GaveUp
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
