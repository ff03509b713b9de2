"""The channel between the service and a child of a fork server."""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from pipeline.protocol import Compare, Proceed, ReadFacts, Render

T = TypeVar("T", Render, Proceed, Compare)

for _kind in (Render, Proceed, Compare, ReadFacts):
    msgspec.json.Decoder(_kind)  # msgspec keeps what it learns of a class, which takes half a millisecond


class Closed(Exception):
    """The service has closed the channel, because it needs no answer."""


class ServiceChannel:
    """Sends and receives messages, one a line, over the socket with this descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines = os.fdopen(descriptor, "rb", closefd=False)

    def receive(self, kind: type[T]) -> T:
        """Wait for the next message.

        Raises:
            Closed: there is no next message.
        """
        return msgspec.json.decode(self._line(), type=kind)

    def receive_question(self) -> Render | ReadFacts:
        """Wait for the question of the service.

        Raises:
            Closed: there is none.
        """
        question: Render | ReadFacts = msgspec.json.decode(self._line(), type=Render | ReadFacts)
        return question

    def _line(self) -> bytes:
        line = self._lines.readline()
        if not line:
            raise Closed
        return line

    def wait_for_end(self) -> None:
        """Wait until the service has closed the channel."""
        while self._lines.readline():
            pass

    def send(self, message: msgspec.Struct) -> None:
        """Send a message.

        Raises:
            Closed: the service has closed the channel.
        """
        left = memoryview(msgspec.json.encode(message) + b"\n")
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except ConnectionError:
            raise Closed from None
