"""The cached failures of originals that cannot be rendered."""

from __future__ import annotations

import pytest

from pipeline.errors import NotAnImage
from proxy.concurrency.backoff import JITTER
from proxy.concurrency.ttl_cache import TtlCache
from proxy.derivatives.cache import DerivativeCache
from proxy.errors import Busy, DeadlineExceeded, DiedAgain, ImagesError, ProcessDied, StoreUnavailable, TooManyBytes
from proxy.stores.remembered import RememberedBlobs
from tests.proxy.concurrency.test_ttl_cache import Clock

SECONDS = 100.0


def cache(clock: Clock | None = None) -> DerivativeCache:
    clock = clock or Clock()
    return DerivativeCache(
        known=TtlCache(entries=9, seconds=SECONDS, clock=clock),
        absent=TtlCache(entries=9, seconds=SECONDS, clock=clock),
        failures=TtlCache(entries=9, seconds=SECONDS, clock=clock),
        remembered=RememberedBlobs(room_bytes=0, seconds=SECONDS),
    )


@pytest.mark.parametrize(
    ("fault", "times"),
    [(NotAnImage("no"), 1), (TooManyBytes("no"), 1), (ProcessDied("no"), 2), (DeadlineExceeded("no"), 3)],
    ids=lambda value: type(value).__name__,
)
def test_an_original_is_given_up_after_so_many_times(fault: ImagesError, times: int) -> None:
    one = cache()
    for time in range(1, times + 1):
        one.record_failure("a", fault, etag="1")
        assert (one.settled_failure("a") is not None) == (time == times)
    assert one.settled_failure("b") is None


@pytest.mark.parametrize("fault", [StoreUnavailable("no"), Busy("no", retry_after_seconds=1)], ids=str)
def test_what_is_not_the_originals_fault_is_never_remembered(fault: ImagesError) -> None:
    one = cache()
    for _ in range(9):
        assert one.record_failure("a", fault, etag="1") is fault
    assert one.settled_failure("a") is None


def test_the_second_death_is_told_as_what_it_is() -> None:
    one = cache()
    first, second = ProcessDied("no"), ProcessDied("no")
    assert one.record_failure("a", first, etag="1") is first
    assert isinstance(one.record_failure("a", second, etag="1"), DiedAgain)
    assert isinstance(one.record_failure("a", ProcessDied("no"), etag="1"), DiedAgain), (
        "as often as it is tried all the same"
    )
    settled_failure = one.settled_failure("a")
    assert settled_failure is not None
    assert settled_failure.kind is DiedAgain


def test_other_bytes_and_other_faults_are_counted_anew() -> None:
    one = cache()
    one.record_failure("a", ProcessDied("no"), etag="1")
    one.record_failure("a", ProcessDied("no"), etag="2")
    assert one.settled_failure("a") is None
    one.record_failure("a", DeadlineExceeded("no"), etag="2")
    one.record_failure("a", ProcessDied("no"), etag="2")
    assert one.settled_failure("a") is None


def test_forgetting_an_original_counts_anew() -> None:
    one = cache()
    one.record_failure("a", ProcessDied("no"), etag="1")
    one.evict("a")
    one.record_failure("a", ProcessDied("no"), etag="1")
    assert one.settled_failure("a") is None


def test_what_was_given_up_is_tried_again_after_a_while() -> None:
    clock = Clock()
    one = cache(clock)
    one.record_failure("a", NotAnImage("no"), etag="1")
    clock.now = SECONDS * (1 + JITTER) + 1
    assert one.settled_failure("a") is None
