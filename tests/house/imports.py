"""Chains of imports: how far a reader may have to follow them."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.house.tree import Module

Graph = dict[str, set[str]]
"""The modules that each module imports."""


class ImportCycle(Exception):
    """Modules import each other, so no chain is the longest; `str()` names them."""


def import_graph(modules: Sequence[Module]) -> Graph:
    """Return which of the modules import which."""
    names = {module.name for module in modules}
    return {module.name: {*filter(None, (_owner(one, names) for one in module.imports))} for module in modules}


def _owner(imported: str, names: set[str]) -> str | None:
    """Return the module that an imported name is, or is defined in."""
    if imported in names:
        return imported
    module = imported.rpartition(".")[0]
    return module if module in names else None


def longest_chain(graph: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Return the longest chain of modules of which each imports the next.

    Raises:
        ImportCycle: there is none.
    """
    chains: dict[str, tuple[str, ...]] = {}
    try:
        for name in TopologicalSorter(graph).static_order():
            below = max((chains[one] for one in sorted(graph[name])), key=len, default=())
            chains[name] = (name, *below)
    except CycleError as fault:
        raise ImportCycle(" > ".join(fault.args[1])) from fault
    return max((chains[name] for name in sorted(chains)), key=len, default=())
