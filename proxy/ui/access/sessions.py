"""Sessions of browsers: a signed cookie, and a note in the queue of those that were logged out."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.concurrency.ttl_cache import TtlCache
from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.queues.base import JobQueue

SESSION_SECONDS: Final = 12 * 3600
"""How long a session lasts."""

ENDED_ENTRIES: Final = 1000

_COOKIE: Final = re.compile(
    r"(?P<content>(?P<id>[0-9a-f]{32})\.(?P<ends>[0-9]{1,12})\.(?P<who>user|guest))\.(?P<mac>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSession:
    """A session of a browser; `ends_at` is in seconds since the epoch. A guest has not logged in."""

    id: str
    ends_at: int
    is_user: bool


class Sessions:
    """The sessions that are signed with one key; processes and machines with the same key accept each other's."""

    def __init__(self, queue: JobQueue, *, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._queue = queue
        self._key = key
        self._clock = clock
        self._ended: TtlCache[bool] = TtlCache(entries=ENDED_ENTRIES, seconds=SESSION_SECONDS)

    def start(self, *, is_user: bool) -> BrowserSession:
        """Return a new session."""
        ends_at = int(self._clock()) + SESSION_SECONDS
        return BrowserSession(id=secrets.token_hex(16), ends_at=ends_at, is_user=is_user)

    def cookie(self, session: BrowserSession) -> str:
        """Return the value of the cookie of a session."""
        content = f"{session.id}.{session.ends_at}.{'user' if session.is_user else 'guest'}"
        return f"{content}.{self._mac('cookie', content)}"

    def form_token(self, session: BrowserSession) -> str:
        """Return what every form of a session has to send back: another site cannot read it."""
        return self._mac("form", session.id)

    def has_token(self, session: BrowserSession, token: str) -> bool:
        """Return whether this is the token of the session's forms."""
        return hmac.compare_digest(self.form_token(session).encode(), token.encode(errors="replace"))

    async def read(self, cookie: str) -> BrowserSession | None:
        """Return the session of a cookie; None if it is not ours, or has ended.

        While the queue cannot be read, only what was logged out of this process counts as logged out.
        """
        match = _COOKIE.fullmatch(cookie)
        if match is None or not hmac.compare_digest(self._mac("cookie", match["content"]), match["mac"]):
            return None
        session = BrowserSession(id=match["id"], ends_at=int(match["ends"]), is_user=match["who"] == "user")
        if session.ends_at <= self._clock() or await self._has_ended(session):
            return None
        return session

    async def end(self, session: BrowserSession) -> None:
        """End a session on every machine.

        Raises:
            QueueUnavailable: it ended only for this process.
        """
        self._ended.put(session.id, True)  # noqa: FBT003 - what the cache holds
        await self._queue.overwrite(_name(session), "ended", seconds=max(1.0, session.ends_at - self._clock()))

    async def _has_ended(self, session: BrowserSession) -> bool:
        if not session.is_user:
            return False
        if self._ended.get(session.id):
            return True
        try:
            return await self._queue.recall(_name(session)) is not None
        except QueueUnavailable:
            return False

    def _mac(self, purpose: str, content: str) -> str:
        return hmac.digest(self._key, f"{purpose}\n{content}".encode(), "sha256").hex()


def _name(session: BrowserSession) -> str:
    return f"ui-session-ended:{session.id}"
