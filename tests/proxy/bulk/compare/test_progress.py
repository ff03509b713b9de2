"""The progress of a comparison, as the runner uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.bulk.checkpoint import IN_A_ROW
from proxy.bulk.compare.comparison_events import Differs
from proxy.bulk.compare.findings import Cause, ComparedOriginal, Finding, Pair
from proxy.bulk.compare.findings_database import FindingsDatabase
from proxy.bulk.compare.progress import ComparisonProgress
from proxy.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(tmp_path: Path) -> Iterator[FindingsDatabase]:
    one = FindingsDatabase(tmp_path / "progress.db", tmp_path)
    with one.opened(b"options"):
        yield one


async def test_an_original_is_begun_once_whether_it_is_underway_or_compared(database: FindingsDatabase) -> None:
    progress = ComparisonProgress(database, sizes=("small", "large"))
    assert [await progress.begin(key) for key in "aba"] == [True, True, False]
    assert len(progress) == 2
    await progress.record(ComparedOriginal(key="a", alike=2))
    assert not await progress.begin("a")
    assert (len(progress), progress.tally.originals) == (1, 1)
    resumed = ComparisonProgress(database, sizes=("small", "large"))
    assert [await resumed.begin(key) for key in "ab"] == [False, True]
    assert resumed.tally.originals == 1


async def test_a_difference_is_an_event(database: FindingsDatabase) -> None:
    progress = ComparisonProgress(database, sizes=("small", "large"))
    causes = Cause(code="colour", detail="red", severity=50), Cause(code="bytes", detail="more", severity=1)
    finding = Finding(key="a", size="small", causes=causes, pair=Pair(old=None, new=None))
    events = await progress.record(ComparedOriginal(key="a", findings=(finding,)))
    assert events == [Differs(key="a", size="small", causes={"colour": "red", "bytes": "more"})]


async def test_an_original_that_cannot_be_compared_is_a_finding_and_many_in_a_row_end_the_comparison(
    database: FindingsDatabase,
) -> None:
    progress = ComparisonProgress(database, sizes=("small", "large"))
    for number in range(IN_A_ROW - 1):
        outcome = progress.failure(f"a{number}", StoreUnavailable("broken"))
        events = await progress.record(outcome)
        assert [(event.size, event.causes) for event in events if isinstance(event, Differs)] == [
            ("small", {"not-compared": "broken"}),
            ("large", {"not-compared": "broken"}),
        ]
    await progress.record(ComparedOriginal(key="b", alike=2))
    for number in range(IN_A_ROW - 1):
        await progress.record(progress.failure(f"c{number}", StoreUnavailable("broken")))
    with pytest.raises(StoreUnavailable):
        progress.failure("d", StoreUnavailable("away"))
