"""The queue factory: opens an SQLite, Redis or PostgreSQL queue, depending on the URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from proxy.errors import QueueUnavailable
from proxy.queues.address import SCHEMES, missing_extra, server_fault
from proxy.queues.sqlite.queue import SqliteQueue

if TYPE_CHECKING:
    from proxy.queues.base import JobQueue


def open_queue(url: str, *, name: str) -> JobQueue:
    """Return the queue at `url`, not connected yet.

    `sqlite:///var/queue.db` is a path relative to the working directory. `sqlite:////var/queue.db` (four slashes) is an
    absolute path, as in SQLAlchemy. Paths are not percent-decoded. With `redis://`, `rediss://`, `postgresql://` and
    `postgres://`, the client library reads its options from the URL.

    Raises:
        QueueUnavailable: the URL is not that of a queue, or its packages are not installed. The message never quotes
            the URL, which may hold a password.
    """
    if not url.startswith(SCHEMES):
        raise QueueUnavailable(
            "QUEUE must start with sqlite:/// (three slashes and a file), redis://, rediss:// or postgresql://."
        )
    if url.startswith("sqlite"):
        return SqliteQueue(_path(url), name=name)
    if missing := missing_extra(url):
        raise QueueUnavailable(missing)
    if fault := server_fault(url):
        raise QueueUnavailable(f"QUEUE {fault}.")
    return _queue_on_server(url, name)


def _path(url: str) -> Path:
    path = url.removeprefix("sqlite:///")
    if not path:
        raise QueueUnavailable(
            "QUEUE has no file: set it to sqlite:///relative/queue.db (three slashes) or sqlite:////absolute/queue.db."
        )
    return Path(path)


def _queue_on_server(url: str, name: str) -> JobQueue:
    if url.startswith("redis"):
        from proxy.queues.redis import RedisQueue  # noqa: PLC0415 - see `proxy.queues.address.server_fault`

        return RedisQueue(url, name=name)
    from proxy.queues.postgres import PostgresQueue  # noqa: PLC0415 - see `proxy.queues.address.server_fault`

    return PostgresQueue(url, name=name)
