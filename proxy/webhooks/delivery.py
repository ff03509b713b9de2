"""Whether the callback of a job has been delivered, as clients see it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import msgspec
from saq.job import TERMINAL_STATUSES, Status

if TYPE_CHECKING:
    import saq

DETAIL, TRIED_AT, FAILURES = "detail", "tried_at", "failures"
"""What the queue stores with a callback: the result of the last attempt, when that ended (epoch seconds), and how many
attempts failed."""

UNLISTED = "CALLBACK_HOSTS does not list this host, so the callback is not sent; list it, then replay the job."


class CallbackState(msgspec.Struct, frozen=True, kw_only=True):
    """The callback of a job: its host, never its path or query, and how far its delivery is.

    `waiting`: no attempt has ended yet. `retrying`: the last attempt failed. `failed`: there are no more attempts. `at`
    and `detail` are the time and the result of the last attempt.
    """

    host: str
    status: Literal["waiting", "retrying", "delivered", "failed"]
    attempts: int = 0
    at: datetime | None = None
    detail: str = ""


def waiting(url: str, *, is_listed: bool = True) -> CallbackState:
    """Return the state of a callback of which there has been no attempt."""
    host = urlsplit(url).netloc.rpartition("@")[2].lower()
    return CallbackState(host=host, status="waiting" if is_listed else "failed", detail="" if is_listed else UNLISTED)


def read_state(url: str, queued: saq.Job) -> CallbackState:
    """Return the state of a callback that is, or was, in the queue of callbacks."""
    has_ended = queued.status in TERMINAL_STATUSES
    failures = int(queued.meta.get(FAILURES, 0))
    if not has_ended and not failures:
        return waiting(url)
    is_delivered = queued.status == Status.COMPLETE and queued.result == "delivered"
    ended_as: Literal["delivered", "failed"] = "delivered" if is_delivered else "failed"
    tried_at = queued.completed / 1000 if has_ended else float(queued.meta.get(TRIED_AT, 0))
    return CallbackState(
        host=waiting(url).host,
        status=ended_as if has_ended else "retrying",
        attempts=failures + has_ended,
        at=datetime.fromtimestamp(tried_at, tz=UTC) if tried_at else None,
        detail=str(queued.meta.get(DETAIL, "")),
    )
