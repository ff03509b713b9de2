"""The progress of a comparison, as the runner uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
    progress = ComparisonProgress(database)
    assert [await progress.begin(key) for key in "aba"] == [True, True, False]
    assert len(progress) == 2
    await progress.record(ComparedOriginal(key="a", alike=2))
    assert not await progress.begin("a")
    assert (len(progress), progress.tally.originals) == (1, 1)
    resumed = ComparisonProgress(database)
    assert [await resumed.begin(key) for key in "ab"] == [False, True]
    assert resumed.tally.originals == 1


async def test_a_difference_is_an_event_and_an_error_is_no_outcome(database: FindingsDatabase) -> None:
    progress = ComparisonProgress(database)
    causes = Cause(code="colour", detail="red", severity=50), Cause(code="bytes", detail="more", severity=1)
    finding = Finding(key="a", size="small", causes=causes, pair=Pair(old=None, new=None))
    events = await progress.record(ComparedOriginal(key="a", findings=(finding,)))
    assert events == [Differs(key="a", size="small", causes={"colour": "red", "bytes": "more"})]
    with pytest.raises(StoreUnavailable):
        progress.failure("a", StoreUnavailable("away"))
