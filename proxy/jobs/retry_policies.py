"""Which failures of a job are retried, how often, and how far apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.concurrency.backoff import RetryPolicy
from proxy.errors import (
    DeadlineExceeded,
    DiedAgain,
    ImagesError,
    NoRoom,
    NotFound,
    ProcessDied,
    StoreUnavailable,
    TakenDown,
    UnexpectedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import saq

MOST_DEFERRED = 1000
"""How many jobs may wait, outside of `QUEUE_SIZE`, for a retry after an unexpected error; a further one ends."""

RETRY_POLICIES: Mapping[type[ImagesError], RetryPolicy] = {
    # Listed before `NotFound`, its base class: the first match counts.
    TakenDown: RetryPolicy(attempts=1, first_seconds=1, longest_seconds=1),
    # A minute: the webhook may arrive before the upload has finished.
    NotFound: RetryPolicy(attempts=13, first_seconds=5, longest_seconds=5),
    # About half an hour: an outage at the provider.
    StoreUnavailable: RetryPolicy(attempts=12, first_seconds=2, longest_seconds=300),
    # As long as that: other processes may finish and free space.
    NoRoom: RetryPolicy(attempts=12, first_seconds=2, longest_seconds=300),
    # Listed before `ProcessDied`, its base class: the first match counts.
    DiedAgain: RetryPolicy(attempts=1, first_seconds=1, longest_seconds=1),
    # A second time is no coincidence.
    ProcessDied: RetryPolicy(attempts=2, first_seconds=1, longest_seconds=1),
    # The machine may have been busy.
    DeadlineExceeded: RetryPolicy(attempts=3, first_seconds=10, longest_seconds=60),
    # A day: the cause is unknown, and a new version or a restart may remove it. Such a job is deferred.
    UnexpectedError: RetryPolicy(attempts=18, first_seconds=10, longest_seconds=10_800),
}
"""Transient failures are retried. Every other error (`Refused`, a bad key) is permanent."""


def count_try(job: saq.Job, name: str) -> int:
    """Count a failed attempt of a job under a name, such as the code of its fault; return how many there are now.

    `job.attempts` is another number: it also counts machines that died.
    """
    tries: dict[str, int] = job.meta.setdefault("tries", {})
    tries[name] = tries.get(name, 0) + 1
    return tries[name]


def unexpected(error: Exception) -> UnexpectedError:
    """Return the error with which a job reports one whose traceback was logged as `unexpected_error`."""
    return UnexpectedError(f"An unexpected {type(error).__name__}; the event unexpected_error has its traceback.")
