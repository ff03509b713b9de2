"""The circuit breaker of queue servers."""

from __future__ import annotations

import pytest

from proxy.errors import QueueUnavailable
from proxy.queues import circuit_breaker
from proxy.queues.circuit_breaker import CircuitBreaker


class Trouble(Exception):
    """The base class of the client's errors."""


class Away(Trouble):
    """The server does not answer."""


class Again(Trouble):
    """An error that the client handles itself."""


def make_door() -> CircuitBreaker:
    return CircuitBreaker("The server", errors=Trouble, unreachable=(Away,), passed_through=(Again,))


def test_errors_become_ours_with_what_the_server_said() -> None:
    with pytest.raises(QueueUnavailable, match="The server rejected the call: the disk is full"), make_door().guarded():
        raise Trouble("the disk\n is full")


@pytest.mark.parametrize("other", [Again(), KeyError("a bug")])
def test_other_errors_pass(other: Exception) -> None:
    with pytest.raises(type(other)), make_door().guarded():
        raise other


def test_after_a_server_was_lost_nobody_waits_for_it_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_door()
    with pytest.raises(QueueUnavailable, match="is not responding: refused"), one.guarded():
        raise Away("refused")
    with pytest.raises(QueueUnavailable, match="is not responding: refused"), one.guarded():
        pytest.fail("the server was tried")
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 0)
    again = make_door()
    with pytest.raises(QueueUnavailable), again.guarded():
        raise Away("refused")
    with again.guarded():
        pass
