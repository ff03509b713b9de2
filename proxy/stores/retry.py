"""Retries of store calls, with timeouts."""

from __future__ import annotations

from asyncio import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from anyio import fail_after, sleep

from proxy.concurrency.backoff import RetryPolicy
from proxy.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio import CancelScope

T = TypeVar("T")

SLOWEST_BYTES_PER_SECOND: Final = 64 * 1024
"""The slowest throughput at which a transfer does not time out: 30 MiB take eight minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRetryPolicy(RetryPolicy):
    """A retry policy for store calls, with timeouts.

    `attempt_seconds` is the timeout of one attempt. `total_seconds` bounds all attempts and the waits between them.
    The size of a transfer extends both deadlines; see `Attempt.move`.
    """

    attempts: int = 10
    first_seconds: float = 0.1
    longest_seconds: float = 2.0
    attempt_seconds: float = 20.0
    total_seconds: float = 60.0


class Attempt:
    """One attempt at a store call, with a deadline that grows with the size of the transfer."""

    def __init__(self, attempt: CancelScope, whole: CancelScope, *, latest: float) -> None:
        self._attempt = attempt
        self._whole = whole
        self._latest = latest

    def move(self, size: int) -> None:
        """Extend the deadlines by the time that `size` bytes take at `SLOWEST_BYTES_PER_SECOND`.

        Each attempt extends its own deadline. The deadline of all attempts is extended once, not by every attempt.
        """
        seconds = size / SLOWEST_BYTES_PER_SECOND
        self._attempt.deadline += seconds
        self._whole.deadline = max(self._whole.deadline, self._latest + seconds)


async def with_retries(
    ask: Callable[[Attempt], Awaitable[T]], retry_policy: StoreRetryPolicy, *, whom: str = "store"
) -> T:
    """Return the result of `ask`, retrying while the store is unavailable.

    `whom` names the store in messages. Errors other than `StoreUnavailable` and timeouts are not retried.

    Raises:
        StoreUnavailable: the last attempt failed or a deadline passed.
        CancelledError: the caller cancelled the call; a note names the store that did not respond.
    """
    try:
        with fail_after(retry_policy.total_seconds) as whole:
            latest = whole.deadline
            for number in range(1, retry_policy.attempts):
                try:
                    with fail_after(retry_policy.attempt_seconds) as attempt:
                        return await ask(Attempt(attempt, whole, latest=latest))
                except (StoreUnavailable, TimeoutError):
                    await sleep(retry_policy.wait_seconds(number))
            with fail_after(retry_policy.attempt_seconds) as attempt:
                return await ask(Attempt(attempt, whole, latest=latest))
    except TimeoutError as error:
        raise StoreUnavailable(f"The {whom} did not respond in time.") from error
    except CancelledError as error:  # the caller timed out, and does not know which store it was waiting for
        error.add_note(f"The {whom} did not respond in time.")
        raise
