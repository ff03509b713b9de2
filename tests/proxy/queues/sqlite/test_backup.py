"""Backups of the queue while it is used, by the command of the operator's manual, and work that goes on from them."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from saq import Status

from proxy.queues.sqlite.queue import SqliteQueue
from tests.proxy.queues.asking import counts, stored, take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

OPERATING = Path(__file__).parents[4] / "docs" / "operating.md"


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[SqliteQueue]:
    one = SqliteQueue(tmp_path / "var" / "queue.db", name="images")
    await one.connect()
    yield one
    await one.disconnect()


def documented() -> str:
    """Return the Python code of the documented command."""
    section = OPERATING.read_text().partition("\n## Backing up the queue\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r'^python3 -c "(.*)"$', section, re.MULTILINE)
    return str(code).replace('\\"', '"')


async def back_up(folder: Path) -> Path:
    """Run the documented command in a process of its own, and return the backup under a name of its own."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", documented(), cwd=folder)
    assert await process.wait() == 0
    written = folder / "queue-backup.db"
    return written.rename(folder / f"backup-{len(list(folder.glob('backup-*')))}.db")


async def test_a_backup_while_jobs_come_and_go_is_whole_and_work_goes_on_from_it(
    queue: SqliteQueue, tmp_path: Path
) -> None:
    accepted: list[str] = []
    backups: list[tuple[int, Path]] = []
    is_over = asyncio.Event()

    async def post() -> None:
        while not is_over.is_set():
            key = f"{len(accepted):05}"
            await queue.enqueue("paint", key=key, retries=3)
            accepted.append(key)
            if len(accepted) % 3 == 0:
                await (await take(queue)).finish(Status.COMPLETE)

    posting = asyncio.create_task(post())
    for _ in range(4):
        before = len(accepted)
        backups.append((before, await back_up(tmp_path)))
    is_over.set()
    await posting
    for before, backup in backups:
        with closing(sqlite3.connect(backup)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            keys = [key for (key,) in connection.execute("SELECT key FROM jobs ORDER BY key")]
        assert keys[:before] == accepted[:before], "a job that was accepted before the backup is not in it"
        assert keys == accepted[: len(keys)]
    restored = SqliteQueue(backups[-1][1], name="images")
    await restored.connect()
    _, active, incomplete = await counts(restored)
    assert active == 0
    assert incomplete > 0
    taken = [await take(restored) for _ in range(incomplete)]
    assert len({job.key for job in taken}) == incomplete
    assert await restored.enqueue("paint", key="new") is not None
    await restored.disconnect()


async def test_a_job_that_ran_at_the_time_of_the_backup_is_taken_over_after_the_restore(
    queue: SqliteQueue, tmp_path: Path
) -> None:
    await queue.enqueue("paint", key="a", retries=3)
    await queue.remember("job-id-key", "secret")
    await take(queue)
    backup = await back_up(tmp_path)
    await queue.disconnect()
    for old in (tmp_path / "var").glob("queue.db*"):
        if old.is_file():
            old.unlink()
    shutil.copy(backup, tmp_path / "var" / "queue.db")
    await queue.connect()
    assert (await stored(queue, "a")).status == Status.QUEUED
    assert (await take(queue)).attempts == 2
    assert await queue.recall("job-id-key") == "secret"
