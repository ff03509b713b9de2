"""Which pages people look at: few of them often, most seldom, one view in twenty of what nobody saw before."""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUND = 20
"""Of so many views in a row exactly one is a first view: 95 % are of what is known."""


def weights(pages: int) -> list[float]:
    """Give each page's share of the views, the most popular first, as Zipf has it: the n-th has 1/n of the first's."""
    parts = [1 / rank for rank in range(1, pages + 1)]
    whole = sum(parts)
    return [part / whole for part in parts]


def views(known: Sequence[str], *, seed: int) -> Iterator[str | None]:
    """Name the page of each view without end, the first of `known` most often; None stands for a first view.

    The same seed gives the same views.
    """
    random = Random(seed)  # noqa: S311 - chance, no secret
    shares = [*itertools.accumulate(weights(len(known)))]
    while True:
        first = random.randrange(ROUND)
        for place in range(ROUND):
            yield None if place == first else random.choices(known, cum_weights=shares)[0]
