"""Callers that wait for one part of running work."""

from __future__ import annotations

import pytest

from proxy.concurrency.awaited import AwaitedParts

pytestmark = pytest.mark.anyio


async def test_the_part_that_a_caller_has_waited_for_longest_comes_first() -> None:
    parts: AwaitedParts[int] = AwaitedParts()
    assert parts.first("work", {"a", "b"}) == ""
    with parts.waiting("work", "b"), parts.waiting("work", "a"), parts.waiting("other", "c"):
        assert parts.first("work", {"a", "b"}) == "b"
        assert parts.first("work", {"a", "c"}) == "a"
    assert parts.first("work", {"a", "b"}) == ""


async def test_every_caller_of_a_part_gets_its_result_and_no_other_caller_does() -> None:
    parts: AwaitedParts[int] = AwaitedParts()
    with (
        parts.waiting("work", "a") as one,
        parts.waiting("work", "a") as two,
        parts.waiting("work", "b") as other,
        parts.waiting("another", "a") as elsewhere,
    ):
        parts.resolve("work", "a", 1)
        parts.resolve("work", "a", 2)
        assert (one.result(), two.result()) == (1, 1)
        assert not other.done()
        assert not elsewhere.done()


async def test_a_part_that_no_caller_waits_for_is_not_kept() -> None:
    parts: AwaitedParts[int] = AwaitedParts()
    parts.resolve("work", "a", 1)
    with parts.waiting("work", "a") as late:
        assert not late.done()
