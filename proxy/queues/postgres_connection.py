"""Connections to a PostgreSQL that may hang: whoever asks it something has its answer, or our error, in time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from psycopg import AsyncConnection, OperationalError, waiting
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool
from saq.queue.postgres import ENQUEUE, ListenMultiplexer

from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg.abc import PQGen

    from proxy.queues.circuit_breaker import CircuitBreaker

ANSWER_SECONDS = 4.0
"""How long the server may take for a statement; a look at the queue's readiness waits for 5 s."""

LINK_SECONDS = 2.0
"""How long one waits for a connection, and then for the server's word that it is there."""

LISTEN_SECONDS = 5.0
"""How often one who listens asks whether there is anybody who could speak."""

CONNECTIONS = 10
"""The most that one process has: PostgreSQL takes 100 by default, of all processes together."""

T = TypeVar("T")


class Connection(AsyncConnection):
    """A connection that is given up when a statement is not answered in time, or when nobody waits for it any more.

    The kernel of a server that hangs goes on to acknowledge what it is sent, so TCP never finds out. Psycopg would wait
    for ever, and for 10 s more where its caller is cancelled, because it asks the server to stop the statement first.
    """

    patience_seconds = ANSWER_SECONDS

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - theirs
        """Await the server's part of a statement."""
        seconds = self.patience_seconds if timeout is None else timeout
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=seconds)
        except (OperationalError, asyncio.CancelledError) as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise OperationalError(f"no answer within {seconds:g} s") from error


class ConnectionPool(AsyncConnectionPool[Connection]):
    """Connections whose errors are ours, made anew as soon as somebody needs one."""

    def __init__(self, address: str, breaker: CircuitBreaker) -> None:
        super().__init__(
            address,
            connection_class=Connection,
            min_size=1,
            max_size=CONNECTIONS,
            open=False,
            check=_check,
            timeout=LINK_SECONDS,
            reconnect_timeout=1.0,  # the pool's own tries come ever more seldom, and nobody else may try meanwhile
        )
        self._breaker = breaker

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109 - theirs
        """Lend a connection within the block."""
        with self._breaker.guarded():
            async with super().connection(timeout) as link:
                yield link


class Listener(ListenMultiplexer):
    """Waits for the server's word; when that is lost, whoever listens asks for jobs and finds out."""

    async def _start(self) -> None:
        with suppress(QueueUnavailable):
            async with self.pool.connection() as link:
                await link.execute(SQL("LISTEN {}").format(Identifier(self.key)))
                self.publish(ENQUEUE, ENQUEUE)  # what came after the look before and until now was told to nobody
                while True:
                    async for notice in link.notifies(timeout=LISTEN_SECONDS):
                        self.publish(notice.payload, notice.payload)
                    await link.execute("")


async def _check(link: Connection) -> None:
    link.patience_seconds = LINK_SECONDS
    await AsyncConnectionPool.check_connection(link)
    link.patience_seconds = ANSWER_SECONDS
