"""The measures of a checkout in words: a table, the rules that it breaks, the names behind the numbers."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from tests.house.house import MOST_LINES, MOST_MODULES
from tests.house.names import is_family
from tests.house.tools import TWIN_LINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.house.house import House
    from tests.house.lengths import Lengths
    from tests.house.minutes import TestRun

NONE = "-"


def table(columns: Mapping[str, House]) -> str:
    """Return a table with a column for each titled house."""
    measured = [[*rows(house)] for house in columns.values()]
    cells = [("", *columns)]
    cells += [(line[0][0], *(value for _, value in line)) for line in zip(*measured, strict=True)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def rows(house: House) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table: what is measured, and its value."""
    return chain(_tree_rows(house), _name_rows(house), _length_rows(house), _test_rows(house.test_run))


def faults(house: House) -> Iterator[str]:
    """Yield each broken rule as a line."""
    yield from (f"folder with more than {MOST_MODULES} modules: {folder}" for folder in house.crowded)
    yield from (f"class name that stands twice: {one}" for one in house.classes)
    yield from (f"file name that stands twice: {one}" for one in house.strangers)
    yield from (f"block that stands twice: {twin}" for twin in house.twins)
    yield from (f"unused name: {one}" for one in house.unused)


def notes(house: House) -> Iterator[str]:
    """Yield what no rule forbids and the table has no room for."""
    yield f"imports: {house.cycle or ' > '.join(house.chain)}"
    yield from (f"family: {one}" for one in house.homonyms if is_family(one))
    yield from (f"file over {MOST_LINES} lines: {module.name}, {module.lines}" for module in house.long_files)


def _tree_rows(house: House) -> Iterator[tuple[str, str]]:
    folder, most = max(house.folders.items(), key=lambda pair: pair[1], default=(NONE, 0))
    yield "packages", str(house.packages)
    yield "modules", str(house.modules)
    yield "modules in the fullest folder", f"{most} ({folder})"
    yield f"folders with more than {MOST_MODULES} modules", str(len(house.crowded))
    yield "import layers", ", ".join(f"{count} in {name}" for name, count in house.layers.items()) or NONE
    yield "import depth", "cycle" if house.cycle else str(len(house.chain))


def _name_rows(house: House) -> Iterator[tuple[str, str]]:
    yield "class names that stand twice", str(len(house.classes))
    yield "file names that stand twice", str(len(house.homonyms))
    yield "  outside a family", str(len(house.strangers))
    yield f"blocks of {TWIN_LINES} lines that stand twice", str(len(house.twins))
    yield "unused names", str(len(house.unused))


def _length_rows(house: House) -> Iterator[tuple[str, str]]:
    longest = house.longest_function
    named = f" ({longest.module}.{longest.name})" if longest else ""
    yield "functions", str(house.functions.count)
    yield "  lines: median, 90%, longest", f"{_spread(house.functions)}{named}"
    yield "files, lines: median, 90%, longest", _spread(house.files)
    yield f"files over {MOST_LINES} lines", str(len(house.long_files))


def _test_rows(run: TestRun | None) -> Iterator[tuple[str, str]]:
    yield "tests", str(run.tests) if run else NONE
    yield "  minutes", f"{run.minutes:.1f}" if run else NONE
    yield "  slowest", f"{run.slowest_seconds:.0f} s ({run.slowest})" if run else NONE


def _spread(lengths: Lengths) -> str:
    return f"{lengths.median:g}, {lengths.p90}, {lengths.longest}"
