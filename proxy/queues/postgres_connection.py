"""PostgreSQL connections with timeouts: a call to a hung server fails within seconds."""

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
"""The timeout of a statement; shorter than the 5 s of the readiness check."""

IDLE_SECONDS = 2.0
"""The age at which the server ends a transaction in which nothing happens, as that of a process that was stopped.

Until then its locks are held. It is shorter than ANSWER_SECONDS, so that others who wait for them do not time out.
"""

LINK_SECONDS = 2.0
"""The timeout to connect, and then for the check that the connection still works."""

FREE_SECONDS = 10.0
"""How long a call waits for another to give back its connection: longer than a call to a server that hangs takes."""

LISTEN_SECONDS = 5.0
"""How often a listener checks that the server still answers."""

CONNECTIONS = 10
"""The maximum number of connections per process. PostgreSQL allows 100 by default, for all processes together."""

T = TypeVar("T")


class Connection(AsyncConnection):
    """A connection that is closed when a statement times out or its caller is cancelled.

    The kernel of a hung server still acknowledges packets, so TCP never detects the hang. Psycopg would wait forever.
    After a cancellation it would wait for 10 s more, because it first requests that the server cancel the statement.
    """

    patience_seconds = ANSWER_SECONDS

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - psycopg's signature
        """Return the server's result; time out after `timeout` seconds, or after `patience_seconds` if it is None.

        Raises:
            OperationalError: the server did not answer in time.
        """
        seconds = self.patience_seconds if timeout is None else timeout
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=seconds)
        except (OperationalError, asyncio.CancelledError) as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise OperationalError(f"no response within {seconds:g} s") from error


class ConnectionPool(AsyncConnectionPool[Connection]):
    """A pool that reconnects on demand, and whose errors are `QueueUnavailable`.

    Psycopg's pool counts the wait for a connection that another call uses as time to connect. A busy process would
    report that its server is down. Here a call first waits for its turn, and only then asks the pool.
    """

    def __init__(self, address: str, breaker: CircuitBreaker) -> None:
        super().__init__(
            address,
            connection_class=Connection,
            min_size=1,
            max_size=CONNECTIONS,
            open=False,
            configure=_limit_idle_transactions,
            check=_check,
            timeout=LINK_SECONDS,
            reconnect_timeout=1.0,  # else the pool retries at growing intervals, and callers cannot retry meanwhile
        )
        self._breaker = breaker
        self._turns = asyncio.Semaphore(CONNECTIONS)

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109 - psycopg's signature
        """Yield a connection from the pool.

        Raises:
            QueueUnavailable: the server did not answer, or no other call gave back its connection in time.
        """
        async with self._turn():
            with self._breaker.guarded():
                async with super().connection(timeout) as link:
                    yield link

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(FREE_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise QueueUnavailable(f"all {CONNECTIONS} connections to PostgreSQL are in use") from None
        try:
            yield
        finally:
            self._turns.release()


class Listener(ListenMultiplexer):
    """A listener for the server's notifications.

    When its connection is lost it ends, and its caller polls for jobs instead, which raises the error.
    """

    async def _start(self) -> None:
        with suppress(QueueUnavailable):
            async with self.pool.connection() as link:
                await link.execute(SQL("LISTEN {}").format(Identifier(self.key)))
                self.publish(ENQUEUE, ENQUEUE)  # jobs enqueued between the last poll and LISTEN caused no notification
                while True:
                    async for notice in link.notifies(timeout=LISTEN_SECONDS):
                        self.publish(notice.payload, notice.payload)
                    await link.execute("")


async def _limit_idle_transactions(link: Connection) -> None:
    await link.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [f"{IDLE_SECONDS}s"])


async def _check(link: Connection) -> None:
    link.patience_seconds = LINK_SECONDS
    await AsyncConnectionPool.check_connection(link)
    link.patience_seconds = ANSWER_SECONDS
