"""Where the time of a page view went, told by the header `Server-Timing`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from proxy.concurrency.timings import Timings

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from litestar.types import Scope

_SPENT: Final = "gf_images_spent"
"""Where it stands in an ASGI scope, so that whoever answers an error finds it."""


def start_timing(scope: Scope) -> Timings:
    """Begin to count the time of a page view."""
    timings = Timings()
    cast("MutableMapping[str, object]", scope)[_SPENT] = timings
    return timings


def timings_of(scope: Scope) -> Timings | None:
    """Give what was counted of a request; None where it is no page view."""
    return cast("MutableMapping[str, Timings]", scope).get(_SPENT)


def server_timing(timings: Timings) -> str:
    """Give the header's value; durations in milliseconds."""
    durations = {"store": timings.store_seconds, "wait": timings.wait_seconds, "render": timings.render_seconds}
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in durations.items())
