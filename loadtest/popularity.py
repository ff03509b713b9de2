"""The distribution of page views: few pages often, most seldom, and one view in twenty a first view."""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUND = 20
"""Exactly one of this many consecutive views is a first view; the other 95 % are of existing derivatives."""


def weights(pages: int) -> list[float]:
    """Return the fraction of views per page by Zipf's law, most popular first: the n-th has 1/n of the first's."""
    parts = [1 / rank for rank in range(1, pages + 1)]
    whole = sum(parts)
    return [part / whole for part in parts]


def views(known: Sequence[str], *, seed: int) -> Iterator[str | None]:
    """Yield the page of each view, endlessly, and the first of `known` most often; None stands for a first view.

    Equal seeds yield equal views.
    """
    random = Random(seed)  # noqa: S311 - no secret
    shares = [*itertools.accumulate(weights(len(known)))]
    while True:
        first = random.randrange(ROUND)
        for place in range(ROUND):
            yield None if place == first else random.choices(known, cum_weights=shares)[0]
