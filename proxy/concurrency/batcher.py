"""One call for everything that is asked at the same time, where asking together costs little more than asking once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """Calls `answer` for one batch at a time; what is asked meanwhile makes up the next.

    `answer` gives an answer for each question, in their order; an exception among them is raised to its asker, one
    that it raises itself to all of them. A batch has `most` questions at most.
    """

    def __init__(
        self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], *, most: int | None = None
    ) -> None:
        self._answer = answer
        self._most = most
        self._asked: list[tuple[Q, asyncio.Future[A]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """Await the answer to a question; an asker that is cancelled takes nothing back that was asked."""
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
            except Exception as fault:  # noqa: BLE001 - whatever it is belongs to those who asked
                answers = [fault] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                _settle(future, answer)


def _settle(future: asyncio.Future[A], answer: A | Exception) -> None:
    if future.done():  # its asker was cancelled
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
