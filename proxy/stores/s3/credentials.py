"""Credentials that are read again, for example from their file, after the bucket has refused them.

botocore renews only credentials that have an expiry. Those of a credentials file have none, even if they are a session
token that a sidecar replaces every hour.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final

import structlog
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobotocore.credentials import AioCredentials
    from aiobotocore.session import AioSession
    from botocore.credentials import ReadOnlyCredentials

log = structlog.get_logger(__name__)

RENEWAL_SECONDS: Final = 1.0
"""The shortest time between two readings: a disabled key is refused for every request."""


class RenewableCredentials:
    """The credentials that botocore found when they were last read; `create` reads them for the first time.

    botocore's clients use them as its own, of which they need only these methods and `method`.
    """

    def __init__(self, found: AioCredentials) -> None:
        self.method = found.method
        self._found = found
        self._renewing = asyncio.Lock()
        self._renewed_at = -math.inf

    @classmethod
    async def create(cls) -> RenewableCredentials | None:
        """Return the credentials of the environment, its files, the container or the machine; None without any."""
        found = await get_session().get_credentials()
        return cls(found) if found else None

    def get_deferred_property(self, _name: str) -> Callable[[], None]:
        """Return a function that returns None: botocore wants the account, which no address of a bucket needs."""
        return lambda: None

    @property
    def get_account_id(self) -> Callable[[], None]:
        """Return the same function."""
        return self.get_deferred_property("account_id")

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the credentials that sign a request; botocore renews those that have an expiry."""
        return await self._found.get_frozen_credentials()

    async def renew(self, refused: ReadOnlyCredentials) -> bool:
        """Read the credentials again if `refused` are still in use; return whether there are others now."""
        async with self._renewing:
            if time.monotonic() - self._renewed_at >= RENEWAL_SECONDS and await self._is_current(refused):
                self._renewed_at = time.monotonic()
                try:
                    found = await get_session().get_credentials()  # a session keeps what it has found
                except BotoCoreError as error:
                    log.warning("credentials_unreadable", detail=str(error))
                    return False
                if found and await found.get_frozen_credentials() != refused:
                    log.info("credentials_renewed", method=found.method)
                    self._found = found
            return not await self._is_current(refused)

    async def _is_current(self, refused: ReadOnlyCredentials) -> bool:
        return bool(await self.get_frozen_credentials() == refused)


class FixedProvider:
    """What a session asks for credentials, in place of botocore's search."""

    def __init__(self, credentials: RenewableCredentials) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> RenewableCredentials:
        """Return the credentials."""
        return self._credentials


def provide(session: AioSession, credentials: RenewableCredentials) -> None:
    """Let the clients of a session sign with these credentials."""
    session.register_component("credential_provider", FixedProvider(credentials))
