"""Durations of a page view or a job."""

from __future__ import annotations

import msgspec

from proxy.concurrency.timings import Timings


def test_sizes_that_were_ready_are_kept_when_durations_are_added() -> None:
    whole, part = Timings(ready_seconds={"small": 0.1}), Timings(render_seconds=1.0, ready_seconds={"large": 0.3})
    whole.add(part)
    assert whole.ready_seconds == {"small": 0.1, "large": 0.3}
    assert part.ready_seconds == {"large": 0.3}


def test_durations_of_an_older_version_say_of_no_size_when_it_was_ready() -> None:
    old = {"store_seconds": 0.02, "wait_seconds": 0.0, "render_seconds": 0.14}
    assert msgspec.convert(old, Timings) == Timings(store_seconds=0.02, render_seconds=0.14)
