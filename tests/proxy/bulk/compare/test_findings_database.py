"""The findings of a comparison on disk, and the memory that they need."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from proxy.bulk.compare import report
from proxy.bulk.compare.comparison_events import ComparisonEnded
from proxy.bulk.compare.findings import Cause, ComparedOriginal, Finding, Pair
from proxy.bulk.compare.findings_database import PICTURED, FindingsDatabase, OtherComparison
from proxy.errors import CannotStart

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

NOTHING = Pair(old=None, new=None)


def outcome(
    number: int, *causes: str, severity: float = 50, pictures: dict[str, str] | None = None
) -> ComparedOriginal:
    """Return the outcome of an original, one of whose sizes differs with these causes."""
    told = tuple(Cause(code=cause, detail="so", severity=severity) for cause in causes)
    pair = Pair(old=None, new=None, pictures=pictures or {})
    finding = Finding(key=f"{number:06}", size="small", causes=told, pair=pair)
    return ComparedOriginal(key=finding.key, alike=3, findings=(finding,) if causes else ())


def database(folder: Path) -> FindingsDatabase:
    (folder / report.PICTURES).mkdir(exist_ok=True)
    return FindingsDatabase(folder / "progress.db", folder / report.PICTURES)


async def test_what_is_over_is_known_to_the_next_that_was_asked_for_the_same(tmp_path: Path) -> None:
    one = database(tmp_path)
    with one.opened(b"options"):
        await one.add(outcome(1, "rotated", "colour"))
        await one.add(outcome(2))
    one = database(tmp_path)
    with one.opened(b"options"):
        assert [await one.has(f"{number:06}") for number in (1, 2, 3)] == [True, True, False]
        tally = one.tally()
        assert (tally.originals, tally.alike, tally.different, tally.compared) == (2, 6, 1, 7)
        assert one.counts() == {"rotated": {"small": 1}, "colour": {"small": 1}}
        assert [finding.key for finding in one.findings()] == ["000001"]


async def test_it_goes_on_with_the_same_options_only(tmp_path: Path) -> None:
    one = database(tmp_path)
    with one.opened(b"options"):
        await one.add(outcome(1))
    with pytest.raises(OtherComparison, match="--restart"), one.opened(b"others"):
        pass
    with one.opened(b"others", restart=True):
        assert one.tally().originals == 0
    one.clear()
    assert [path.name for path in tmp_path.iterdir()] == [report.PICTURES]


async def test_two_comparisons_cannot_share_a_folder(tmp_path: Path) -> None:
    with (
        database(tmp_path).opened(b"options"),
        pytest.raises(CannotStart, match="another"),
        database(tmp_path).opened(b"options", restart=True),
    ):
        pass


async def test_a_file_that_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "progress.db").write_bytes(b"something else" * 100)
    with pytest.raises(CannotStart, match="delete the file"), database(tmp_path).opened(b"options"):
        pass


async def test_what_has_only_allowed_causes_is_excused(tmp_path: Path) -> None:
    one = database(tmp_path)
    with one.opened(b"options"):
        await one.add(outcome(1, "rotated"))
        await one.add(outcome(2, "rotated", "colour"))
        assert one.unexcused(frozenset()) == 2
        assert one.unexcused(frozenset({"rotated"})) == 1
        assert one.unexcused(frozenset({"rotated", "colour"})) == 0


async def test_only_the_worst_of_each_cause_keep_their_pictures(tmp_path: Path) -> None:
    one = database(tmp_path)
    with one.opened(b"options"):
        for number in range(PICTURED + 10):
            name = f"{number}.webp"
            (tmp_path / report.PICTURES / name).touch()
            await one.add(outcome(number, "rotated", severity=number, pictures={"old": name}))
        await one.add(outcome(999, "colour", severity=1))
        shown = [finding.pair.pictures.get("old") for finding in one.pictured()]
    left = {path.name for path in (tmp_path / report.PICTURES).iterdir()}
    assert shown[:2] == [f"{PICTURED + 9}.webp", f"{PICTURED + 8}.webp"]
    assert (len(shown), shown[-1]) == (PICTURED + 1, None)
    assert left == {name for name in shown if name}


async def test_a_cause_that_is_nobodys_worst_shows_its_findings_too(tmp_path: Path) -> None:
    one = database(tmp_path)
    (tmp_path / report.PICTURES / "mild.webp").touch()
    with one.opened(b"options"):
        await one.add(outcome(999, "rotated", "bytes", severity=1, pictures={"old": "mild.webp"}))
        for number in range(PICTURED + 10):
            await one.add(outcome(number, "rotated", severity=50 + number))
        shown = [finding.key for finding in one.pictured()]
    assert (len(shown), shown[-1]) == (PICTURED + 1, "000999")
    assert (tmp_path / report.PICTURES / "mild.webp").exists()


@pytest.mark.slow
async def test_ten_times_the_findings_take_no_more_memory_to_report(tmp_path: Path) -> None:
    assert await reporting_peak(tmp_path, 3000) < 1.5 * await reporting_peak(tmp_path, 300)


async def reporting_peak(parent: Path, number: int) -> int:
    """Return the peak memory in bytes of Python while it writes a report of `number` findings."""
    folder = parent / str(number)
    folder.mkdir()
    one = database(folder)
    head = report.ReportHead(
        store="file://a", old="a", new="b", sizes=("small",), sample=None, seed=1, began=datetime.now(UTC)
    )
    with one.opened(b"options"):
        for index in range(number):
            await one.add(outcome(index, "rotated", severity=index % 100))
        ended = ComparisonEnded(
            is_finished=True,
            is_within_budget=False,
            originals=number,
            alike=0,
            different=number,
            excused=0,
            absent=0,
            causes={},
            seconds=1,
            report="index.html",
        )
        report.write(folder, one, head=head, ended=ended)  # before measuring, because the first call loads modules
        tracemalloc.start()
        report.write(folder, one, head=head, ended=ended)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak
