"""The queue that a URL names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.errors import QueueUnavailable
from proxy.queues.sqlite.queue import SqliteQueue

if TYPE_CHECKING:
    from proxy.queues.base import JobQueue

SCHEMES = ("sqlite:///", "redis://", "rediss://", "postgresql://", "postgres://")
"""How the URL of a queue begins."""

_NEEDS = {"redis": ("redis", ("redis",)), "postgres": ("postgres", ("psycopg", "psycopg_pool"))}
"""By the start of a scheme: the extra of this distribution, and what it installs."""


def missing_extra(url: str) -> str | None:
    """Tell how to install what the queue at `url` needs; None when it is there."""
    for start, (extra, packages) in _NEEDS.items():
        if url.startswith(start) and not all(find_spec(package) for package in packages):
            scheme = url.partition("://")[0]
            return f"QUEUE={scheme}:// needs the {extra} extra: pip install 'gallformers-images[{extra}]'"
    return None


def address_fault(url: str) -> str | None:
    """Tell what is wrong with the address of a queue, without quoting it: it may hold a password."""
    if not url.startswith(SCHEMES) or url in SCHEMES:
        return f"must begin with {', '.join(SCHEMES)} and go on"
    return None if url.startswith("sqlite") else missing_extra(url) or _server_fault(url)


def _server_fault(url: str) -> str | None:
    # Imported only here, because the clients of servers cost memory that the embedded queue saves, and may be missing.
    if url.startswith("redis"):
        from proxy.queues import redis  # noqa: PLC0415 - see above

        return redis.address_fault(url)
    from proxy.queues import postgres  # noqa: PLC0415 - see above

    return postgres.address_fault(url)


def open_queue(url: str, *, name: str) -> JobQueue:
    """Make the queue at `url`, not connected yet.

    `sqlite:///var/queue.db` is a path relative to the working directory, `sqlite:////var/queue.db` (four slashes) an
    absolute one, as SQLAlchemy reads them; nothing in it is percent-decoded. `redis://`, `rediss://`, `postgresql://`
    and `postgres://` take the options that their clients read from the URL.

    Raises:
        QueueUnavailable: the URL names no queue, or the packages for it are missing. The sentence never quotes the
            URL, which may hold a password.
    """
    if not url.startswith(SCHEMES):
        raise QueueUnavailable(
            "QUEUE begins with none of sqlite:/// (three slashes and a file), redis://, rediss:// or postgresql://."
        )
    if url.startswith("sqlite"):
        return SqliteQueue(_path(url), name=name)
    if missing := missing_extra(url):
        raise QueueUnavailable(missing)
    if fault := _server_fault(url):
        raise QueueUnavailable(f"QUEUE {fault}.")
    return _queue_on_server(url, name)


def _path(url: str) -> Path:
    path = url.removeprefix("sqlite:///")
    if not path:
        raise QueueUnavailable(
            "QUEUE names no file: write sqlite:///relative/queue.db (three slashes) or sqlite:////absolute/queue.db."
        )
    return Path(path)


def _queue_on_server(url: str, name: str) -> JobQueue:
    if url.startswith("redis"):
        from proxy.queues.redis import RedisQueue  # noqa: PLC0415 - see `_server_fault`

        return RedisQueue(url, name=name)
    from proxy.queues.postgres import PostgresQueue  # noqa: PLC0415 - see `_server_fault`

    return PostgresQueue(url, name=name)
