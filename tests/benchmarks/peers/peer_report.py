"""The measured part of docs/benchmarks-peers.md: its tables, and where others are better than we are."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.benchmarks.peers import plot
from tests.benchmarks.peers.rounds import median_views
from tests.benchmarks.peers.scores import median_score
from tests.benchmarks.pipeline.report import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.peers.rounds import Crowd, FirstView, Repeated
    from tests.benchmarks.peers.scores import Score

OURS, ALONE = "ours", "ours, 800 only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that was measured in one run."""

    machine: str
    views: Sequence[FirstView]
    repeated: Sequence[Repeated] = ()
    crowds: Sequence[Crowd] = ()
    scores: Sequence[Score] = ()
    rest_bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The contenders whose first views were measured."""
        return list(dict.fromkeys(view.contender for view in self.views))

    def median(self, contender: str, name: str) -> float:
        """Return the median over photographs of a contender's median of the rounds, in milliseconds."""
        own = [view for (who, _), view in median_views(self.views).items() if who == contender]
        return 1000 * statistics.median(float(getattr(view, name)) for view in own)

    def markdown(self) -> str:
        """Return all tables, what we lose first."""
        parts = [self.machine, "### Where others are better", self._losses(), "### First views", self._first_views()]
        if self.scores:
            parts += ["### Quality at 800 pixels", self._quality()]
        if self.repeated:
            parts += ["### Repeated requests, microseconds of processor time each", self._repeated()]
        if self.crowds:
            parts += ["### First views at once in 256 MB", self._crowds()]
        return "\n\n".join(parts)

    def draw(self, folder: Path) -> None:
        """Write the charts: first views, and the processor time of one size against bytes at an equal score."""
        views = {name: self.median(name, "first_byte_seconds") for name in self.names}
        (folder / "benchmarks-peers-first-view.svg").write_text(plot.bars(views, unit="ms"), encoding="utf-8")
        pairs = {}
        for name in {one.contender: None for one in self.scores}:
            ratio = median_score(self.scores, name)[2]
            timed = ALONE if name == OURS else name
            if ratio is not None and timed in self.names:
                pairs[timed] = (ratio, self.median(timed, "cpu_seconds"))
        if pairs:
            chart = plot.points(pairs, across="bytes at our score, ours = 1", up="CPU of one size, ms")
            (folder / "benchmarks-peers-cost.svg").write_text(chart, encoding="utf-8")

    def _losses(self) -> str:
        """List each measurement in which a peer is better, the largest factor first."""
        found = []
        for what, own, values in self._comparable():
            peers = {name: value for name, value in values.items() if not name.startswith(OURS)}
            if own in values and peers:
                best = min(peers, key=peers.__getitem__)
                if peers[best] < values[own]:
                    found.append((values[own] / peers[best], what, values[own], best, peers[best]))
        rows = [
            (what, f"{mine:.0f}", f"{best} {theirs:.0f}", f"{factor:.1f}")
            for factor, what, mine, best, theirs in sorted(found, reverse=True)
        ]
        return table(("what", "ours", "best peer", "factor"), rows) if rows else "In none of these measurements."

    def _comparable(self) -> list[tuple[str, str, dict[str, float]]]:
        """Return what is measured of several contenders, the name that stands for us, and the values; less is better.

        Contenders that render one size at 800 pixels are compared with the service whose only size that is.
        """
        found = [
            (what, own, {name: self.median(name, column) for name in self.names})
            for what, own, column in (
                ("first view, first byte, ms", OURS, "first_byte_seconds"),
                ("one size, CPU ms", ALONE, "cpu_seconds"),
                ("four sizes, CPU ms", OURS, "page_cpu_seconds"),
            )
        ]
        for name, _, values in found:
            if name.startswith("four"):
                values.pop(ALONE, None)
        kinds = dict.fromkeys(one.kind for one in self.repeated)
        for kind in kinds:
            each = {one.contender: one.cpu_seconds * 1e6 for one in self.repeated if one.kind == kind}
            found.append((f"repeated {kind}, CPU us", OURS, each))
        if self.rest_bytes:
            found.append(("memory at rest, MB", OURS, {name: held / 1e6 for name, held in self.rest_bytes.items()}))
        return found

    def _first_views(self) -> str:
        rows = []
        for name in self.names:
            own = OURS if name != ALONE else ALONE
            first, cpu, page = (
                self.median(name, column) for column in ("first_byte_seconds", "cpu_seconds", "page_cpu_seconds")
            )
            ratio = page / self.median(own, "page_cpu_seconds") if own in self.names else float("nan")
            held = self.rest_bytes.get(name)
            rows.append(
                (
                    name,
                    f"{first:.0f}",
                    f"{cpu:.0f}",
                    f"{page:.0f}" if name != ALONE else "",
                    f"{ratio:.2f}" if name != ALONE else "",
                    f"{held / 1e6:.0f}" if held else "",
                )
            )
        heads = ("contender", "first byte ms", "CPU of it ms", "CPU of four sizes ms", "it / ours", "MB at rest")
        return table(heads, rows)

    def _quality(self) -> str:
        rows = []
        for name in {one.contender: None for one in self.scores}:
            score, size, ratio = median_score(self.scores, name)
            rows.append((name, f"{score:.1f}", f"{size / 1000:.0f}", f"{ratio:.2f}" if ratio else "not reached"))
        return table(("contender", "SSIMULACRA2", "kB", "bytes at our score, ours = 1"), rows)

    def _repeated(self) -> str:
        kinds = list(dict.fromkeys(one.kind for one in self.repeated))
        spent = {(one.contender, one.kind): one.cpu_seconds * 1e6 for one in self.repeated}
        names = dict.fromkeys(one.contender for one in self.repeated)
        rows = [
            (name, *(f"{spent[name, kind]:.0f}" if (name, kind) in spent else "" for kind in kinds)) for name in names
        ]
        return table(("contender", *kinds), rows)

    def _crowds(self) -> str:
        rows = [
            (
                one.contender,
                str(one.statuses.get("200", 0)),
                ", ".join(f"{count} x {status}" for status, count in sorted(one.statuses.items()) if status != "200"),
                str(one.kills),
                f"{one.seconds:.1f}",
            )
            for one in self.crowds
        ]
        return table(("contender", "served", "others", "killed", "seconds"), rows)
