"""The limit on concurrent calls per receiver."""

from __future__ import annotations

import pytest

from proxy.errors import CallbackFailed
from proxy.webhooks.dispatcher import Bulkhead

NAME = "hooks.example.org"


def fail(receivers: Bulkhead, name: str) -> None:
    with pytest.raises(CallbackFailed), receivers.called(name):
        raise CallbackFailed("no answer")


def test_as_many_may_be_on_their_way_to_each_as_was_said() -> None:
    receivers = Bulkhead(at_once=3)
    with (
        receivers.called(NAME),
        receivers.called(NAME),
        receivers.called(NAME) as third,
        receivers.called(NAME) as fourth,
        receivers.called("other.example.org") as another,
    ):
        assert (third, fourth, another) == (True, False, True)
    with receivers.called(NAME) as again:
        assert again


def test_a_silent_one_is_called_one_at_a_time_until_it_answers() -> None:
    receivers = Bulkhead(at_once=3)
    fail(receivers, NAME)
    with receivers.called(NAME) as first, receivers.called(NAME) as second:
        assert (first, second) == (True, False)
    with receivers.called(NAME), receivers.called(NAME) as second:
        assert second


def test_what_goes_wrong_here_says_nothing_of_a_receiver() -> None:
    receivers = Bulkhead(at_once=2)
    with pytest.raises(KeyError), receivers.called(NAME):
        raise KeyError
    with receivers.called(NAME), receivers.called(NAME) as second:
        assert second
