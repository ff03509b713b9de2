"""Measures the first view of a page of 40 photographs in Chromium, on a service in 256 MB.

    python -m tests.benchmarks.page.first_view [--base ../other] [--rounds 3]

No picture of the page is rendered before the browser requests it. Redirects lead to another name of the service, as
they do with a CDN: a redirect to the same host waits until the browser's six connections have sent all first requests,
so all pictures would come at the end. With `--base`, another checkout with an installed
`.venv` is measured by turns. Requires root for the control group. Ends with 1 if this checkout breaks a picture.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadtest.servers.groups import memory_group
from loadtest.servers.service import Service, started
from tests.benchmarks.page.devtools import LACKS, Screen, browsing, is_there
from tests.benchmarks.page.gallery import served
from tests.pipeline.rendering import photographs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OURS, BASE = "ours", "base"
MACHINE_BYTES = 256 << 20
LAPTOP = Screen(width=1366, height=768, density=1)

_ENDS = """(async () => {
  const images = [...document.images];
  await Promise.all(images.map((img) => img.complete || new Promise((done) => { img.onload = img.onerror = done; })));
  const ends = Object.fromEntries(performance.getEntriesByType("resource").map((one) => [one.name, one.responseEnd]));
  return images.map((img) => [img.naturalWidth > 0, ends[img.src] ?? 0]);
})()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One view of the page: when each picture was there, in seconds since the navigation, and how many are broken."""

    seconds: Sequence[float]
    broken: int
    kills: int

    @property
    def times(self) -> tuple[float, float, float]:
        """The first, the median and the last picture."""
        return min(self.seconds), statistics.median(self.seconds), max(self.seconds)


@click.command()
@click.option("--base", type=click.Path(path_type=Path, exists=True), help="Another checkout to compare with.")
@click.option("--photos", default=40, show_default=True, help="How many photographs the page has.")
@click.option("--rounds", default=3, show_default=True, help="How often each is measured, by turns.")
def main(base: Path | None, photos: int, rounds: int) -> None:
    """Print when the first, the median and the last picture was there, and how many are broken."""
    if not is_there():
        raise click.ClickException(LACKS)
    programs: dict[str, tuple[str, ...]] = {OURS: (sys.executable, "-m", "proxy")}
    if base:  # -P: not the code of the working directory
        programs[BASE] = (str(base.resolve() / ".venv/bin/python"), "-P", "-m", "proxy")
    views: dict[str, list[View]] = {who: [] for who in programs}
    for number in range(rounds):
        for who, program in programs.items():
            view = _viewed(program, photos)
            views[who].append(view)
            click.echo(f"round {number + 1}, {who}: {_said(view.times)}; broken {view.broken}; killed {view.kills}")
    medians = {
        who: [statistics.median(times) for times in zip(*(one.times for one in views[who]), strict=True)]
        for who in views
    }
    for who, times in medians.items():
        click.echo(f"median of {rounds} rounds, {who}: {_said(times)}")
    if base:
        ratios = (ours / other for ours, other in zip(medians[OURS], medians[BASE], strict=True))
        click.echo("ratio: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))
    sys.exit(any(view.broken or view.kills for view in views[OURS]))


def _viewed(program: tuple[str, ...], photos: int) -> View:
    """View the page on a new service with an empty cache, in a new browser."""
    with (
        tempfile.TemporaryDirectory(prefix="gf-images-bench-") as name,
        memory_group(MACHINE_BYTES) as group,
        started(_service(Path(name), program, group.entry)) as service,
    ):
        html = _page(service, _stored(service, photos))
        with served(html) as url, browsing(Path(name) / "browser", LAPTOP) as tab:
            loader = tab.call("Page.navigate", url=url)["loaderId"]
            tab.wait("Page.lifecycleEvent", name="DOMContentLoaded", loaderId=loader)
            shown = tab.evaluate(_ENDS)
        seconds = [end / 1000 for is_loaded, end in shown if is_loaded]
        return View(seconds=seconds or [0.0], broken=len(shown) - len(seconds), kills=group.kills())


def _service(folder: Path, program: tuple[str, ...], entry: tuple[str, ...]) -> Service:
    service = Service(folder=folder, settings={}, program=program, entry=entry)
    service.settings = {"WORKERS": "2", "PUBLIC_BASE_URL": f"http://localhost:{service.port}/files"}
    return service


def _stored(service: Service, photos: int) -> Iterator[str]:
    for number, path in enumerate(islice(photographs(".jpg", ".jpeg", ".png"), photos)):
        key = f"gall/{number}/{number}_1_original{path.suffix.lower()}"
        service.put(key, path)
        yield key


def _page(service: Service, keys: Iterator[str]) -> bytes:
    pictures = "\n".join(f'<img src="{service.url}/img/{key}/medium" alt="" width="300">' for key in keys)
    return f'<!doctype html><title>Galls</title><link rel="icon" href="data:,">\n{pictures}\n'.encode()


def _said(times: Sequence[float]) -> str:
    first, median, last = times
    return f"first {first:.2f} s, median {median:.2f} s, last {last:.2f} s"


if __name__ == "__main__":
    main()
