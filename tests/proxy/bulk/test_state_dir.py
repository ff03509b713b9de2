"""What a run keeps on disk, and how another one goes on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.bulk import failures
from proxy.bulk.events import OriginalDone
from proxy.bulk.failures import FailedOriginal
from proxy.bulk.ledger import RunProgress
from proxy.bulk.state_dir import OtherRun, StateDir
from proxy.errors import CannotStart, GaveUp
from tests.proxy.bulk.runs import WORDS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def records(tmp_path: Path) -> StateDir:
    one = StateDir(tmp_path / "state")
    with one.held():
        return one


async def test_a_run_goes_on_where_its_ledger_was_when_it_was_killed(records: StateDir) -> None:
    place = records.read_or_begin(WORDS)
    ledger = RunProgress(place, records)
    for key in "abcd":
        assert ledger.begin(key)
    for key in "abd":
        await ledger.close(OriginalDone(key=key, result="made"))
    again = records.read_or_begin(WORDS)
    assert (again.run, again.after, again.done, again.tally.made) == (place.run, "b", ("d",), 3)
    assert again.is_begun
    assert not place.is_begun
    ledger = RunProgress(again, records)
    assert [key for key in "cde" if ledger.begin(key)] == ["c", "e"]


async def test_a_run_does_not_go_on_with_one_that_was_asked_for_something_else(records: StateDir) -> None:
    await records.save(records.read_or_begin(WORDS))
    other = msgspec.structs.replace(WORDS, prefix="gall/", profiles=("2",))
    with pytest.raises(OtherRun, match=r"\(prefix, profiles\)"):
        records.read_or_begin(other)
    records.forget()
    assert records.read_or_begin(other).words == other


def test_two_runs_at_once_keep_out_of_each_others_way(tmp_path: Path) -> None:
    with StateDir(tmp_path).held(), pytest.raises(CannotStart, match="Another run"), StateDir(tmp_path).held():
        pass
    with StateDir(tmp_path).held():
        pass


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="nothing can be written"), StateDir(tmp_path / "file" / "state").held():
        pass


def test_a_checkpoint_that_makes_no_sense_is_told(records: StateDir, tmp_path: Path) -> None:
    (tmp_path / "state" / "checkpoint.json").write_bytes(b'{"run": ')
    with pytest.raises(CannotStart, match="--restart"):
        records.read_or_begin(WORDS)


async def test_a_failure_is_in_its_file_before_it_counts(records: StateDir) -> None:
    place = records.read_or_begin(WORDS)
    ledger = RunProgress(place, records)
    ledger.begin("a")
    await ledger.close(OriginalDone(key="a", result="failed", code="corrupt", detail="ends\tearly"))
    kept = msgspec.json.decode(records.failures(place).read_bytes(), type=FailedOriginal)
    assert kept == FailedOriginal(key="a", code="corrupt", detail="ends\tearly")
    assert records.read_or_begin(WORDS).tally.faults == {"corrupt": 1}


async def test_half_a_line_that_a_lost_machine_left_is_no_failure_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    failures.append(path, FailedOriginal(key="a"))
    with path.open("ab") as file:
        file.write(b'{"key": "b')
    assert [key async for key in failures.keys(path)] == ["a"]
    failures.append(path, FailedOriginal(key="c"))
    assert [key async for key in failures.keys(path)] == ["a", "c"]


async def test_a_file_that_is_none_of_failures_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    path.write_bytes(b'{"key": "a"}\nnonsense\n')
    with pytest.raises(CannotStart, match="line 2"):
        assert [key async for key in failures.keys(path)]
    with pytest.raises(CannotStart, match="cannot be read"):
        assert [key async for key in failures.keys(tmp_path / "nowhere")]


async def test_a_disk_that_takes_no_more_ends_the_run(records: StateDir, tmp_path: Path) -> None:
    place = records.read_or_begin(WORDS)
    (tmp_path / "state" / "checkpoint.new").mkdir()
    with pytest.raises(GaveUp, match="could be done twice"):
        await records.save(place)
