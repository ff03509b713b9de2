"""The report of a comparison: a folder with an HTML page, a JSON document and small pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.protocol import Inspected, Refusal
from proxy.bulk.compare.causes import TITLES
from proxy.bulk.compare.findings_database import PICTURED
from proxy.bulk.compare.verdicts import DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from proxy.bulk.compare.comparison_events import ComparisonEnded
    from proxy.bulk.compare.findings import ComparedKeys, Copy, Finding
    from proxy.bulk.compare.findings_database import FindingsDatabase

PAGE, PICTURES = "index.html", "pictures"
"""Names in the folder of a report."""

_KINDS = ("old", "new", "difference")

PICTURE: Final = re.compile(rf"[0-9a-f]{{20}}-({'|'.join(_KINDS)})\.webp")
"""The names of the small pictures, which `proxy.bulk.compare.comparer` generates; no other file is removed."""

_KILO = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHead:
    """The parameters of the comparison, shown at the top of the report."""

    store: str
    old: str
    new: str
    sizes: tuple[str, ...]
    sample: int | None
    seed: int
    began: datetime


def write(folder: Path, database: FindingsDatabase, *, head: ReportHead, ended: ComparisonEnded) -> None:
    """Write the page and the document, each atomically; delete the pictures that the page does not show."""
    _replace(folder / DOCUMENT, _document(database, head, ended))
    _replace(folder / PAGE, _page(database, head, ended))
    shown = {name for finding in database.pictured() for name in finding.pair.pictures.values()}
    for path in (folder / PICTURES).iterdir():
        if PICTURE.fullmatch(path.name) and path.name not in shown:
            path.unlink()


def _replace(path: Path, lines: Iterator[str]) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with new.open("x", encoding="utf-8") as file:  # not through a link
        file.writelines(lines)
    new.replace(path)


def _document(database: FindingsDatabase, head: ReportHead, ended: ComparisonEnded) -> Iterator[str]:
    """Yield the parts of one JSON object, with one finding or original per line; only one of them is in memory."""
    summary = {"asked": head, "ended": ended, "causes": database.counts()}
    yield msgspec.json.encode(summary).decode()[:-1] + ',\n"findings": [\n'
    yield from _lines(database.findings())
    yield '],\n"originals": [\n'
    yield from _lines(database.originals())
    yield "]}\n"


def _lines(entries: Iterable[Finding] | Iterable[ComparedKeys]) -> Iterator[str]:
    separator = ""
    for part in entries:
        yield separator + msgspec.json.encode(part).decode()
        separator = ",\n"
    yield "\n"


def _page(database: FindingsDatabase, head: ReportHead, ended: ComparisonEnded) -> Iterator[str]:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"bytes": _format_bytes, "thousands": "{:,}".format}
    counts = database.counts()
    gravity = list(TITLES)
    causes = sorted(counts, key=lambda cause: (-sum(counts[cause].values()), gravity.index(cause)))
    template = environment.get_template("report.html")
    return template.generate(
        head=head,
        ended=ended,
        titles=TITLES,
        causes=[(cause, counts[cause], sum(counts[cause].values())) for cause in causes],
        findings=database.pictured(),
        most=PICTURED,
        folder=PICTURES,
        kinds=_KINDS,
        facts=_facts,
        measures=_measures,
    )


def _facts(copy: Copy | None) -> list[str]:
    """Return short lines that describe the file of one side."""
    if copy is None:
        return ["no file"]
    lines = [f"{_format_bytes(copy.bytes)}, {copy.content_type}"]
    if isinstance(copy.seen, Inspected):
        info = copy.seen.info
        lines.insert(0, f"{info.width} x {info.height} {info.format}")
        lines += [f"contains {', '.join(copy.seen.traces)}"] if copy.seen.traces else []
    elif isinstance(copy.seen, Refusal):
        lines.insert(0, copy.seen.code.replace("-", " "))
    return [*lines, *([copy.cache_control] if copy.cache_control else [])]


def _measures(finding: Finding) -> list[tuple[str, str]]:
    """Return the names and values of what was measured for a finding."""
    pair = finding.pair
    measures = []
    if pair.likeness and pair.likeness.turn:
        measures.append(("measured after undoing:", pair.likeness.turn))
    if like := pair.likeness:
        score = "none" if like.score is None else f"{like.score:.0f}"
        measures += [
            ("SSIMULACRA2", score),
            ("mean CIEDE2000", f"{like.colour:.1f}"),
            ("hash", f"{like.hash_bits} of 64 bits differ"),
            ("fine detail", f"{like.detail:.2f} times the old"),
        ]
    if pair.old and pair.new:
        measures.append(("bytes", f"{pair.new.bytes / max(1, pair.old.bytes):.2f} times the old"))
    return measures


def _format_bytes(count: int) -> str:
    return f"{count / _KILO:,.0f} kB" if count >= _KILO else f"{count} bytes"
