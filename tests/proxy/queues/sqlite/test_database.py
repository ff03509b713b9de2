"""Concurrent steps on one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
import struct
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from proxy.errors import QueueUnavailable
from proxy.queues.sqlite import database as database_module
from proxy.queues.sqlite import schema
from proxy.queues.sqlite.database import WATCH_SECONDS, Database
from proxy.system import file_closes
from proxy.system.file_closes import FileCloses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


def make_table(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS colours (name TEXT UNIQUE)")


def add(name: str, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO colours VALUES (?)", (name,))


def names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM colours ORDER BY name")]


def commits(path: Path) -> int:
    """Return the number of commits in a write-ahead log.

    A commit is a frame whose second word is not 0 (SQLite's file format, 4.2).
    """
    log = path.with_name(f"{path.name}-wal").read_bytes()
    (page,) = struct.unpack_from(">8xI", log)
    return sum(1 for at in range(32, len(log), 24 + page) if struct.unpack_from(">4xI", log, at) != (0,))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "a.db", make_table)
    yield database
    await database.close()


async def test_thirty_writes_at_once_share_a_commit(database: Database, tmp_path: Path) -> None:
    before = commits(tmp_path / "a.db")
    await asyncio.gather(*(database.write(partial(add, str(number))) for number in range(30)))
    assert commits(tmp_path / "a.db") - before <= 2
    assert len(await database.read(names)) == 30


async def test_every_commit_reaches_the_disk(database: Database) -> None:
    settings = await database.read(
        lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    )
    assert settings == ["wal", 2]


async def test_a_write_that_fails_takes_no_neighbour_with_it(database: Database) -> None:
    outcomes = await asyncio.gather(
        *(database.write(partial(add, name)) for name in ("red", "blue", "red", "green")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), QueueUnavailable, type(None)]
    assert await database.read(names) == ["blue", "green", "red"]


async def test_a_read_sees_the_writes_that_were_asked_for_before_it(database: Database) -> None:
    written, read = database.write(partial(add, "red")), database.read(names)
    await written
    assert await read == ["red"]


async def test_a_full_disk_refuses_what_comes_and_keeps_what_was_accepted(database: Database) -> None:
    await database.write(partial(add, "red"))
    await database.read(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone())
    with pytest.raises(QueueUnavailable, match="is full: free some space"):
        await database.write(partial(add, "x" * 100_000))
    await database.read(lambda c: c.execute("PRAGMA max_page_count = 1000").fetchone())
    await database.write(partial(add, "green"))
    assert await database.read(names) == ["green", "red"]


async def test_nothing_is_accepted_into_a_file_that_nobody_will_find_again(database: Database, tmp_path: Path) -> None:
    await database.write(partial(add, "red"))
    (tmp_path / "a.db").rename(tmp_path / "away.db")
    with pytest.raises(QueueUnavailable, match=r"a\.db was deleted or moved while it was open"):
        await database.write(partial(add, "blue"))
    (tmp_path / "a.db").touch()
    with pytest.raises(QueueUnavailable, match=r"a\.db was deleted or moved while it was open"):
        await database.write(partial(add, "blue"))
    (tmp_path / "away.db").rename(tmp_path / "a.db")
    await database.write(partial(add, "green"))
    assert await database.read(names) == ["green", "red"]


async def test_a_lock_that_another_program_keeps_is_named_and_waited_for_once(
    database: Database, tmp_path: Path
) -> None:
    await database.read(lambda c: c.execute("PRAGMA busy_timeout = 200").fetchone())
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(database.write(partial(add, str(number))) for number in range(20)), return_exceptions=True
        )
        assert time.monotonic() - began < 2
    assert all("locked by another program" in str(outcome) for outcome in outcomes)
    await database.write(partial(add, "red"))


async def test_a_change_by_another_connection_is_noticed(database: Database, tmp_path: Path) -> None:
    other = await Database.open(tmp_path / "a.db", make_table)
    seen = database.next_change()
    await asyncio.wait_for(seen.wait(), 5)  # the first poll always counts as a change
    change = database.next_change()
    await other.write(partial(add, "red"))
    await asyncio.wait_for(change.wait(), 5)
    await other.close()


async def test_a_file_that_nobody_writes_is_not_looked_at(database: Database, tmp_path: Path) -> None:
    other = await Database.open(tmp_path / "a.db", make_table)
    await asyncio.wait_for(database.next_change().wait(), 5)
    await asyncio.sleep(2 * WATCH_SECONDS)  # the changes so far have been looked at
    looks: list[str] = []
    await database.read(lambda connection: connection.set_trace_callback(looks.append))
    change = database.next_change()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(change.wait(), 3 * WATCH_SECONDS)
    assert not [statement for statement in looks if "data_version" in statement]
    await other.write(partial(add, "red"))
    await asyncio.wait_for(change.wait(), 5)
    await other.close()


@pytest.mark.parametrize("notices", [pytest.param(None, id="no inotify"), "never"])
async def test_a_change_is_noticed_where_the_system_does_not_report_it(
    database: Database, tmp_path: Path, notices: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: FileCloses) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(database_module, "UNNOTICED_SECONDS", 0.1)
    if notices:
        monkeypatch.setattr(FileCloses, "next", never)
    else:
        monkeypatch.setattr(file_closes, "_checked", not_on_this_system)
    other = await Database.open(tmp_path / "a.db", make_table)
    await asyncio.wait_for(database.next_change().wait(), 5)
    change = database.next_change()
    await other.write(partial(add, "red"))
    await asyncio.wait_for(change.wait(), 5)
    await other.close()


def not_on_this_system(*_: object) -> int:
    raise OSError("too many of them")


async def test_what_was_asked_for_is_written_before_the_file_is_closed(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "b.db", make_table)
    asked = database.write(partial(add, "red"))
    await database.close()
    await asked
    with pytest.raises(QueueUnavailable, match="closed"):
        database.write(make_table)


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("remember to buy red paint\n" * 100)
    with pytest.raises(QueueUnavailable, match=r"notes\.txt is not a queue: move that file elsewhere"):
        await Database.open(path, make_table)
    assert path.read_text().startswith("remember")


async def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / "a.db", make_table)).close()
    with pytest.raises(QueueUnavailable, match="the database of another program"):
        await Database.open(tmp_path / "a.db", schema.prepare)


async def test_a_queue_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "a.db", schema.prepare)
    await database.write(lambda c: c.execute("PRAGMA user_version = 99").fetchone())
    await database.close()
    with pytest.raises(QueueUnavailable, match="newer version"):
        await Database.open(tmp_path / "a.db", schema.prepare)


async def test_a_queue_of_an_older_version_is_given_the_indexes_that_it_lacks(tmp_path: Path) -> None:
    older = await Database.open(tmp_path / "a.db", schema.prepare)
    await older.write(lambda c: c.execute("DROP INDEX jobs_live").fetchone())
    await older.write(
        lambda c: c.execute("CREATE INDEX jobs_in_line ON jobs (queue, status, due, sequence)").fetchone()
    )
    await older.close()
    database = await Database.open(tmp_path / "a.db", schema.prepare)
    indexes = {row[1] for row in await database.read(lambda c: c.execute("PRAGMA index_list(jobs)").fetchall())}
    await database.close()
    ours = {"jobs_by_age", "jobs_by_turn", "jobs_deferred", "jobs_live", "jobs_ended", "jobs_failed"}
    assert indexes == ours | {"sqlite_autoindex_jobs_1"}


@pytest.mark.parametrize("place", ["a-file/queue.db", "a-folder"])
async def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "a-folder").mkdir()
    with pytest.raises(QueueUnavailable, match=f"{place} cannot be opened for writing .* set QUEUE to another file"):
        await Database.open(tmp_path / place, make_table)
