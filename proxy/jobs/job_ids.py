"""Ids of jobs: random, also for a message whose job has to be found again by the id of that message.

Who knows the id of a job may read the job, and the ids of messages are not secret. So a job's id is the message's id
under a keyed hash. The key is random, is created once for each queue, and is stored in it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.queues.base import JobQueue

_FACT = "job-id-key"
"""The name under which the queue stores the key."""

_LENGTH = 32
"""The number of hexadecimal digits of an id: 128 bits."""


class JobIds:
    """The ids of the jobs of a queue."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._key: bytes | None = None

    async def of_message(self, message: str) -> str:
        """Return the id of the job that a message creates, which cannot be computed without the key of the queue."""
        if self._key is None:
            self._key = (await self._queue.remember(_FACT, secrets.token_hex())).encode()
        return hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest()[:_LENGTH]


def random_id() -> str:
    """Return the id of a job that no message has to find again."""
    return uuid.uuid4().hex


def former_id(message: str) -> str:
    """Return the id that versions up to 0.2.0 derived from a message without a key."""
    return hashlib.sha256(message.encode()).hexdigest()[:_LENGTH]
