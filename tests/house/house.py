"""What is measured of a checkout."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.house.imports import ImportCycle, import_graph, longest_chain
from tests.house.lengths import spread
from tests.house.minutes import read_test_run
from tests.house.names import homonyms, is_family, repeated_classes
from tests.house.rules import read_tools
from tests.house.tools import is_expected, twin_blocks, unused_names
from tests.house.tree import read_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.house.lengths import Lengths
    from tests.house.minutes import TestRun
    from tests.house.names import Repeated
    from tests.house.rules import Tools
    from tests.house.tools import Unused
    from tests.house.tree import Function, Module

MOST_MODULES = 12
"""Modules in a folder. With more, a room is missing."""

MOST_LINES = 400
"""Lines of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The measures. `folders` has the modules of each folder, `chain` is empty where imports form a `cycle`."""

    packages: int
    modules: int
    folders: Mapping[str, int]
    layers: Mapping[str, int]
    chain: tuple[str, ...]
    cycle: str
    classes: list[Repeated]
    homonyms: list[Repeated]
    functions: Lengths
    longest_function: Function | None
    files: Lengths
    long_files: list[Module]
    twins: list[str]
    unused: list[Unused]
    test_run: TestRun | None

    @property
    def crowded(self) -> list[str]:
        """Name the folders with too many modules, the fullest first."""
        ordered = sorted(self.folders.items(), key=lambda pair: -pair[1])
        return [f"{folder}, {count} modules" for folder, count in ordered if count > MOST_MODULES]

    @property
    def strangers(self) -> list[Repeated]:
        """Return the file names that stand twice outside of a family."""
        return [one for one in self.homonyms if not is_family(one)]


def measure(root: Path, exceptions: Tools) -> House:
    """Measure a checkout.

    Args:
        root: The folder of the checkout.
        exceptions: The names that are allowed, so that two checkouts can be held against one rule.

    Raises:
        ToolFailed: pylint did not run.
    """
    tree = read_tree(root)
    modules = [module for module in tree if not module.is_package]
    functions = [function for module in tree for function in module.functions]
    chain, cycle = _chain(tree)
    return House(
        packages=len(tree) - len(modules),
        modules=len(modules),
        folders=Counter(module.package for module in modules),
        layers=read_tools(root).layers,
        chain=chain,
        cycle=cycle,
        classes=repeated_classes(tree),
        homonyms=[one for one in homonyms(tree) if one.name not in exceptions.house.homonyms],
        functions=spread([function.lines for function in functions]),
        longest_function=max(functions, key=lambda function: function.lines, default=None),
        files=spread([module.lines for module in modules]),
        long_files=[module for module in modules if module.lines > MOST_LINES],
        twins=twin_blocks(root),
        unused=[one for one in unused_names(root) if not is_expected(one, exceptions.vulture.ignore_names)],
        test_run=read_test_run(root),
    )


def _chain(tree: Sequence[Module]) -> tuple[tuple[str, ...], str]:
    try:
        return longest_chain(import_graph(tree)), ""
    except ImportCycle as cycle:
        return (), str(cycle)
