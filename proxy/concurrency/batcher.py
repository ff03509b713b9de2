"""Batching of concurrent requests into one call, for calls whose cost hardly grows with the number of requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """A batcher that calls `answer` with one batch at a time; requests that arrive meanwhile form the next batch.

    `answer` returns one result per request, in order. An exception among the results is raised to that caller only; an
    exception raised by `answer` itself is raised to every caller of the batch. A batch has at most `most` requests.
    """

    def __init__(
        self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], *, most: int | None = None
    ) -> None:
        self._answer = answer
        self._most = most
        self._asked: list[tuple[Q, asyncio.Future[A]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """Return the result for `question`; cancelling the caller does not withdraw the request."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._asked.append((question, future))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_all())
        return await future

    async def _answer_all(self) -> None:
        while self._asked:
            batch = self._asked[: self._most]
            del self._asked[: len(batch)]
            try:
                answers = await self._answer([question for question, _ in batch])
            except Exception as fault:  # noqa: BLE001 - every exception is passed on to the callers
                answers = [fault] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                _settle(future, answer)


def _settle(future: asyncio.Future[A], answer: A | Exception) -> None:
    if future.done():  # its caller was cancelled
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
