"""How often passwords may be tried."""

from __future__ import annotations

from proxy.ui.access.tries import BURST, EVERY_SECONDS, MOST_ADDRESSES, PasswordTries


class Clock:
    """A clock that is set by hand."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_after_a_burst_each_try_waits() -> None:
    clock = Clock()
    throttle = PasswordTries(clock=clock)
    for _ in range(BURST):
        assert throttle.wait_seconds("a") == 0
        throttle.count("a")
    assert throttle.wait_seconds("a") == EVERY_SECONDS
    assert throttle.wait_seconds("b") == 0
    clock.seconds += EVERY_SECONDS
    assert throttle.wait_seconds("a") == 0
    throttle.count("a")
    assert throttle.wait_seconds("a") == EVERY_SECONDS


def test_the_right_password_ends_the_wait() -> None:
    throttle = PasswordTries(clock=Clock())
    for _ in range(BURST):
        throttle.count("a")
    throttle.forget("a")
    assert throttle.wait_seconds("a") == 0


def test_a_thousand_tries_within_a_second_are_no_more_than_the_burst() -> None:
    clock, tried = Clock(), 0
    throttle = PasswordTries(clock=clock)
    for _ in range(1000):
        clock.seconds += 0.001
        if not throttle.wait_seconds("a"):
            throttle.count("a")
            tried += 1
    assert tried == BURST


def test_the_number_of_addresses_is_bounded() -> None:
    throttle = PasswordTries(clock=Clock())
    for number in range(MOST_ADDRESSES + 10):
        for _ in range(BURST):
            throttle.count(str(number))
    assert throttle.wait_seconds("0") == 0
    assert throttle.wait_seconds(str(MOST_ADDRESSES + 9)) > 0
