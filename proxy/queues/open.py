"""The queue that a URL names."""

from __future__ import annotations

from pathlib import Path

from saq.errors import MissingDependencyError
from saq.queue.base import Queue

from proxy.errors import QueueUnavailable
from proxy.queues.sqlite import SqliteQueue

_EXTRAS = {"redis": "redis", "rediss": "redis", "postgres": "postgres", "postgresql": "postgres"}
"""The optional dependencies of this distribution that each scheme needs."""


def open_queue(url: str, *, name: str) -> Queue:
    """Make the queue at `url`, not connected yet.

    `sqlite:///var/queue.db` is a path relative to the working directory, `sqlite:////var/queue.db` (four slashes) an
    absolute one, as SQLAlchemy reads them; nothing in it is percent-decoded. `redis://`, `rediss://`, `postgresql://`
    and `postgres://` are SAQ's own queues, with the options that their clients read from the URL.

    Raises:
        QueueUnavailable: the URL names no queue, or the packages for it are missing. The sentence never quotes the
            URL, which may hold a password.
    """
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return SqliteQueue(_path(url), name=name)
    if scheme not in _EXTRAS:
        raise QueueUnavailable("QUEUE begins with none of sqlite:///, redis://, rediss:// or postgresql://.")
    try:
        return Queue.from_url(url, name=name)
    except (MissingDependencyError, ImportError) as error:  # SAQ turns only some of the missing imports into its own
        extra = _EXTRAS[scheme]
        raise QueueUnavailable(
            f"QUEUE={scheme}:// needs the {extra} extra: pip install 'gallformers-images[{extra}]'"
        ) from error


def _path(url: str) -> Path:
    path = url.removeprefix("sqlite:///")
    if path in {"", url}:
        raise QueueUnavailable(
            "QUEUE names no file: write sqlite:///relative/queue.db (three slashes) or sqlite:////absolute/queue.db."
        )
    return Path(path)
