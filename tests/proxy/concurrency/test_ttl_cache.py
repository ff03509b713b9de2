"""The TTL cache: freshness, stale reads, bounds."""

from __future__ import annotations

from proxy.concurrency.backoff import JITTER
from proxy.concurrency.ttl_cache import ENTRY_BYTES, TtlCache


class Clock:
    """A clock in seconds that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_put_in_is_remembered_and_then_forgotten() -> None:
    clock = Clock()
    memory: TtlCache[str] = TtlCache(entries=10, seconds=100, clock=clock)
    memory.put("key", "value")
    clock.now = 100 * (1 - JITTER) - 1
    assert memory.get("key") == "value"
    clock.now = 100 * (1 + JITTER) + 1
    assert memory.get("key") is None


def test_what_is_stale_is_still_known_to_those_who_ask_for_it_until_it_is_forgotten() -> None:
    clock = Clock()
    memory: TtlCache[str] = TtlCache(entries=10, seconds=100, stale_seconds=1000, clock=clock)
    memory.put("key", "value")
    assert (memory.get("key"), memory.get_stale("key")) == ("value", "value")
    clock.now = 100 * (1 + JITTER) + 1
    assert (memory.get("key"), memory.get_stale("key")) == (None, "value")
    clock.now = 1000 + 100 * (1 + JITTER) + 1
    assert memory.get_stale("key") is None
    memory.put("key", "value")
    memory.evict("key")
    assert memory.get_stale("key") is None


def test_what_is_doubted_is_stale_at_once_and_forgotten_when_stale_things_are() -> None:
    clock = Clock()
    memory: TtlCache[str] = TtlCache(entries=10, seconds=100, stale_seconds=1000, clock=clock)
    memory.put("key", "value")
    memory.mark_stale("key")
    memory.mark_stale("never known")
    assert (memory.get("key"), memory.get_stale("key"), memory.get_stale("never known")) == (None, "value", None)
    clock.now = 1001
    assert memory.get_stale("key") is None


def test_what_is_doubted_is_forgotten_where_nothing_stale_is_kept() -> None:
    memory: TtlCache[str] = TtlCache(entries=10, seconds=100, clock=Clock())
    memory.put("key", "value")
    memory.mark_stale("key")
    assert (memory.get("key"), memory.get_stale("key")) == (None, None)


def test_what_was_learned_together_is_not_forgotten_together() -> None:
    clock = Clock()
    memory: TtlCache[int] = TtlCache(entries=1000, seconds=100, clock=clock)
    for number in range(1000):
        memory.put(str(number), number)
    clock.now = 100
    left = sum(memory.get(str(number)) is not None for number in range(1000))
    assert 300 < left < 700


def test_it_never_holds_more_than_it_may() -> None:
    memory: TtlCache[int] = TtlCache(entries=10, seconds=100)
    for number in range(1000):
        memory.put(str(number), number)
    assert len(memory) == 10


def test_longer_keys_take_the_place_of_several() -> None:
    memory: TtlCache[int] = TtlCache(entries=100, seconds=100)
    for number in range(1000):
        memory.put(f"{number:01000}", number)
    assert len(memory) * 1000 < 100 * ENTRY_BYTES
    assert len(memory) >= 25


def test_forgetting_what_was_never_known_is_no_error() -> None:
    memory: TtlCache[str] = TtlCache(entries=10, seconds=100)
    memory.put("key", "value")
    memory.evict("key")
    memory.evict("key")
    assert memory.get("key") is None
