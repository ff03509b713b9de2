"""The scenarios: the users of each, and the originals that they need."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import click

from loadtest.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SENDERS = 30
"""Concurrent jobs, from the service's specification."""

VIEWERS = 50
FIRST_VIEWERS = 8
"""Fewer than WAITING, so that no view is refused as busy."""

POPULAR = 40
"""How many originals the views of existing derivatives are spread over."""

JOBS, VIEWS, FIRST_VIEWS = 30, 3000, 100

PEOPLE: Mapping[str, Mapping[str, int]] = {
    "webhook_burst": {"Sender": SENDERS},
    "page_views": {"Viewer": VIEWERS},
    "cold_views": {"FirstViewer": FIRST_VIEWERS},
    "mixed": {"Sender": SENDERS, "Viewer": VIEWERS},
}
"""How many users of each class run at once, by the name of the scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Originals:
    """Keys by their use; no key has two uses, because these would disturb each other."""

    ordered: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """How many originals each use needs."""

    ordered: int
    known: int
    first: int

    @property
    def together(self) -> int:
        """How many originals are needed in all."""
        return self.ordered + self.known + self.first

    def shared_out(self, keys: Sequence[str]) -> Originals:
        """Return the keys split between the uses, in proportion if they are too few.

        Raises:
            click.ClickException: a use would get no key.
        """
        ends = [0]
        for need in (self.ordered, self.known, self.first):
            ends.append(ends[-1] + need * min(len(keys), self.together) // self.together)
        ordered, known, first = (tuple(keys[begin:end]) for begin, end in pairwise(ends))
        if (not ordered and self.ordered) or (not known and self.known) or (not first and self.first):
            raise click.ClickException(f"{len(keys)} originals are too few for {', '.join(PEOPLE)}; name fewer of them")
        return Originals(ordered=ordered, known=known, first=first)


def needs(scenarios: Sequence[str]) -> Needs:
    """Return how many originals these scenarios need, run one after another."""
    most = {who: max(PEOPLE[name].get(who, 0) for name in scenarios) for who in ("Sender", "Viewer", "FirstViewer")}
    return Needs(
        ordered=2 * most["Sender"],
        known=POPULAR if most["Viewer"] else 0,
        first=max(most["Viewer"], most["FirstViewer"]),
    )


def planned(scenario: str, originals: Originals, *, jobs: int, views: int) -> Plan:
    """Return the plan of a scenario; with too few originals it has fewer users.

    0 jobs or views stand for the default number.
    """
    people = PEOPLE[scenario]
    room = {"Sender": len(originals.ordered), "Viewer": len(originals.first), "FirstViewer": len(originals.first)}
    return Plan(
        scenario=scenario,
        people={who: min(count, room[who]) for who, count in people.items()},
        ordered=originals.ordered,
        known=originals.known,
        first=originals.first,
        jobs=(jobs or JOBS) if "Sender" in people else 0,
        views=_views(people, views),
    )


def _views(people: Mapping[str, int], asked: int) -> int:
    if "Viewer" in people:
        return asked or VIEWS
    return (asked or FIRST_VIEWS) if "FirstViewer" in people else 0
