"""One run of the benchmark: every contender started on one folder of originals, and measured by turns."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.paint import Photograph as Painted
from loadtest.paint import paint
from loadtest.servers.groups import CannotMakeGroups
from pipeline.image import vips
from tests.benchmarks.peers import contenders, peer_tools, process_tree, rounds, scores
from tests.benchmarks.peers.contenders import Ours
from tests.benchmarks.peers.peer_report import ALONE, OURS, Measured
from tests.benchmarks.pipeline.quality import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.benchmarks.peers.contenders import Contender, Endpoint
    from tests.benchmarks.peers.rounds import Crowd, Repeated
    from tests.benchmarks.pipeline.photographs import Photograph

CROWD_PHOTOGRAPH = Painted(width=6000, height=4000, noise=8)
STREAMED, BEFORE = "ours, stream", "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRun:
    """What is compared, and where: `folder` is a new one, `tools` has the peers, `before` is another checkout."""

    folder: Path
    tools: Path
    before: Path | None
    only_own: bool

    def measure(self, photos: Sequence[Photograph], *, times: int, requests: int, crowd: int, judge: bool) -> Measured:
        """Start the contenders, and return everything that was measured of them."""
        originals = self.folder / "originals"
        originals.mkdir(mode=0o755)
        with ExitStack() as stack:
            origin = "" if self.only_own else stack.enter_context(self._nginx().started(originals)).url
            everyone = [*self._own(), *([] if self.only_own else self._peers(origin))]
            endpoints = {one.name: stack.enter_context(one.started(originals)) for one in everyone}
            rest_bytes = {name: process_tree.proportional_bytes(one.pid) for name, one in endpoints.items()}
            views = []
            for view in rounds.first_views(endpoints, photos, originals, rounds=times):
                print(
                    f"{view.photo:28} {view.contender:24} {view.first_byte_seconds * 1000:6.0f} ms, CPU "
                    f"{view.cpu_seconds * 1000:6.0f} ms, of four {view.page_cpu_seconds * 1000:6.0f} ms",
                    flush=True,
                )
                views.append(view)
        return Measured(
            machine=self._machine(len(photos), times),
            views=views,
            rest_bytes=rest_bytes,
            repeated=self._repeated(photos[0], requests=requests, times=times) if requests else (),
            crowds=self._crowds(crowd) if crowd else (),
            scores=self._scores(photos) if judge and not self.only_own else (),
        )

    def _own(self) -> list[Contender]:
        alone = self.folder / "alone.toml"
        alone.write_text("[sizes.medium]\nwidth = 800\n", encoding="utf-8")
        checkouts = {"": contenders.ROOT, **({f"{BEFORE}: ": self.before} if self.before else {})}
        own = []
        for prefix, checkout in checkouts.items():
            own.append(Ours(name=f"{prefix}{OURS}", checkout=checkout).contender())
            sizes = dict.fromkeys(((width, 0) for width in contenders.WIDTHS.values()), "medium")
            only = Ours(name=f"{prefix}{ALONE}", checkout=checkout, settings={"SIZES_FILE": str(alone)}, sizes=sizes)
            own.append(only.contender())
        return own

    def _peers(self, origin: str) -> list[Contender]:
        made = [contenders.sharp, contenders.ipx, contenders.thumbor]
        known = [make(self.tools, is_bounded=bounded) for make in made for bounded in (False, True)]
        return [*known, *(contenders.by_address(told, origin) for told in os.environ.get("PEERS", "").split())]

    def _nginx(self) -> Contender:
        return contenders.nginx(self.tools)

    def _repeated(self, photo: Photograph, *, requests: int, times: int) -> list[Repeated]:
        """Measure what stores or sends files, with a redirect and with the bytes of the same picture."""
        originals = self.folder / "repeated"
        originals.mkdir()
        key = rounds.put(photo.path, originals, 1)
        checkouts = {"": contenders.ROOT, **({f"{BEFORE}: ": self.before} if self.before else {})}
        streaming = [
            Ours(name=f"{prefix}{OURS}", checkout=checkout, settings={"DELIVERY": "stream"}).contender()
            for prefix, checkout in checkouts.items()
        ]
        redirecting = [
            Ours(name=f"{prefix}{OURS}", checkout=checkout).contender() for prefix, checkout in checkouts.items()
        ]
        peers = [] if self.only_own else [self._nginx(), contenders.thumbor(self.tools, is_bounded=True)]
        found = []
        with ExitStack() as stack:
            endpoints = {one.name: stack.enter_context(one.started(originals)) for one in (*streaming, *peers)}
            # nginx sends a file of the same length as the derivative.
            made = rounds.fetch(next(iter(endpoints.values())), key)
            (originals / "gall" / "same.jpg").write_bytes(made)
            endpoints = {
                name: _of_one_file(one, "/gall/same.jpg") if name == "nginx" else one for name, one in endpoints.items()
            }
            found += rounds.repeated(endpoints, key, rounds=times, requests=requests)
        with ExitStack() as stack:
            endpoints = {one.name: stack.enter_context(one.started(originals)) for one in redirecting}
            if not self.only_own:
                nginx = stack.enter_context(self._nginx().started(originals))
                endpoints["nginx"] = _of_one_file(nginx, "/redirect/gall")
            found += rounds.repeated(endpoints, key, rounds=times, requests=requests, kinds=("302",))
        return found

    def _crowds(self, views: int) -> list[Crowd]:
        photo = self.folder / "progressive.jpg"
        paint(photo, CROWD_PHOTOGRAPH, interlace=True, Q=88)
        everyone = [one for one in self._own() if not one.name.endswith(ALONE)]
        everyone += [] if self.only_own else self._peers("")
        found = []
        for number, contender in enumerate(one for one in everyone if one.is_ours_to_start):
            originals = self.folder / f"crowd-{number}" / "originals"
            originals.mkdir(parents=True)
            try:
                found.append(rounds.crowd(contender, photo, originals, views=views))
            except CannotMakeGroups as reason:
                print(reason, file=sys.stderr)
                return []
            print(f"{contender.name}: {found[-1]}", flush=True)
        return found

    def _scores(self, photos: Sequence[Photograph]) -> list[scores.Score]:
        originals = self.folder / "scored"
        originals.mkdir()
        alike = [photo for photo in photos if photo.is_srgb]
        with self._nginx().started(originals) as origin:
            peers = [one for one in self._peers(origin.url) if not one.name.endswith(("bounded", "stored"))]
            everyone = [scores.with_qualities(Ours(name=OURS), self.folder), *peers]
            return scores.scores(everyone, alike, originals, ours=OURS, references=self.tools / REFERENCES)

    def _machine(self, photos: int, times: int) -> str:
        peers = ", ".join((*peer_tools.NODE_PACKAGES, *peer_tools.PYTHON_PACKAGES, peer_tools.DEBIAN_PACKAGE))
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        return (
            f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} processors, load averages "
            f"{load}; libvips {vips.VERSION}, Python {platform.python_version()}; "
            f"{'this service only' if self.only_own else peers}. Medians over {photos} photographs of the medians of "
            f"{times} rounds."
        )


def _of_one_file(endpoint: Endpoint, path: str) -> Endpoint:
    return contenders.Endpoint(pid=endpoint.pid, url=endpoint.url, path=lambda _, __, ___: path)
