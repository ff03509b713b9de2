"""The `Server-Timing` header: how long a page view took in the store, in queues and in renders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from proxy.concurrency.timings import Timings

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from litestar.types import Scope

_SPENT: Final = "gf_images_spent"
"""The key in the ASGI scope under which the error handler finds the timings."""


def start_timing(scope: Scope) -> Timings:
    """Start the timings of a request, and keep them in its scope."""
    timings = Timings()
    cast("MutableMapping[str, object]", scope)[_SPENT] = timings
    return timings


def timings_of(scope: Scope) -> Timings | None:
    """Return the timings of a request, or None if it has none."""
    return cast("MutableMapping[str, Timings]", scope).get(_SPENT)


def server_timing(timings: Timings) -> str:
    """Return the value of the header; durations in milliseconds."""
    durations = {"store": timings.store_seconds, "wait": timings.wait_seconds, "render": timings.render_seconds}
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in durations.items())
