"""The document of the benchmark: the part that is measured is written anew, the rest of it is kept."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

BEGIN = "<!-- measured: begin; written by the benchmark, edits are lost -->"
END = "<!-- measured: end -->"

_VERDICTS = {True: "met", False: "**missed**", None: "not measured"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What we hold ourselves to, and whether it is so."""

    name: str
    wanted: str
    measured: str
    is_met: bool | None
    """None where nothing was measured."""
    exceptions: Sequence[str] = ()


def below(name: str, value: float, most: float, *, unit: str = "", exceptions: Sequence[str] = ()) -> Bar:
    """Set a bar that a number must not pass."""
    return _bar(name, (value, unit), f"<= {_plain(most)}{unit}", is_met=value <= most, exceptions=exceptions)


def above(name: str, value: float, least: float, *, unit: str = "", exceptions: Sequence[str] = ()) -> Bar:
    """Set a bar that a number must reach."""
    return _bar(name, (value, unit), f">= {_plain(least)}{unit}", is_met=value >= least, exceptions=exceptions)


def bars(rows: Iterable[Bar]) -> str:
    """Write the bars as a table, what they except below it."""
    stated = list(rows)
    lines = table(
        ("bar", "wanted", "measured", ""),
        [(bar.name, bar.wanted, bar.measured, _VERDICTS[bar.is_met]) for bar in stated],
    )
    excepted = [f"- {bar.name}: {', '.join(bar.exceptions)}" for bar in stated if bar.exceptions]
    return "\n".join([lines, *(["", "Where not:", "", *excepted] if excepted else [])])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; columns after the first hold numbers."""
    ruler = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ruler, *rows))


def median(values: Iterable[float]) -> float:
    """Give the middle one; not a number when there is none."""
    found = list(values)
    return statistics.median(found) if found else float("nan")


def write(document: Path, measured: str) -> None:
    """Put what was measured between the marks of the document.

    Raises:
        ValueError: the document has no marks.
    """
    text = document.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{document} needs the lines {BEGIN!r} and {END!r} to write between.")
    document.write_text(f"{head}{BEGIN}\n\n{measured}\n\n{END}{tail}", encoding="utf-8")


def _bar(name: str, measured: tuple[float, str], wanted: str, *, is_met: bool, exceptions: Sequence[str]) -> Bar:
    value, unit = measured
    if math.isnan(value):
        return Bar(name=name, wanted=wanted, measured="", is_met=None)
    return Bar(name=name, wanted=wanted, measured=f"{_plain(value)}{unit}", is_met=is_met, exceptions=exceptions)


def _plain(number: float) -> str:
    return f"{number:.2f}" if abs(number) < 10 else f"{number:.1f}"
