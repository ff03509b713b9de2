"""How long a store that is troubled is asked again."""

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
"""The slowest line on which bytes are still moved: 30 MiB take eight minutes on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRetryPolicy(RetryPolicy):
    """How often and how long one thing is asked for; `total_seconds` holds the attempts and the waits between them.

    Bytes that are announced lengthen both deadlines, see `Attempt`.
    """

    attempts: int = 10
    first_seconds: float = 0.1
    longest_seconds: float = 2.0
    attempt_seconds: float = 20.0
    total_seconds: float = 60.0


class Attempt:
    """One of the attempts at one thing; what it has to move lengthens its deadline, and once that of all attempts."""

    def __init__(self, attempt: CancelScope, whole: CancelScope, *, latest: float) -> None:
        self._attempt = attempt
        self._whole = whole
        self._latest = latest

    def move(self, size: int) -> None:
        """Allow for `size` bytes, as long as the slowest line needs for them."""
        seconds = size / SLOWEST_BYTES_PER_SECOND
        self._attempt.deadline += seconds
        self._whole.deadline = max(self._whole.deadline, self._latest + seconds)


async def with_retries(
    ask: Callable[[Attempt], Awaitable[T]], retry_policy: StoreRetryPolicy, *, whom: str = "store"
) -> T:
    """Give what `ask` returns, asking again while the store is unavailable; `whom` is named if no answer comes.

    Raises:
        StoreUnavailable: the last attempt's trouble, or that no answer came in time.
        CancelledError: its caller waits no longer; a note says who was waited for.
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
        raise StoreUnavailable(f"The {whom} gave no answer in time.") from error
    except CancelledError as error:  # by a caller who waits no longer, and only knows that it asked a store
        error.add_note(f"The {whom} gave no answer in time.")
        raise
