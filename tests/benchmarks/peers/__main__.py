"""Measure the service beside other image servers: `python -m tests.benchmarks.peers --help`."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import click

from tests.benchmarks.peers import peer_tools
from tests.benchmarks.peers.peer_run import PeerRun
from tests.benchmarks.pipeline import report
from tests.benchmarks.pipeline.photographs import photographs

ROOT = Path(__file__).parents[3]
CORPUS = Path(os.environ.get("IMAGE_CORPUS", ROOT / ".." / "shared" / "images"))
LEAST_MEGAPIXELS = 8.0


@click.command()
@click.option("--photos", default=8, show_default=True, help="How many JPEGs of 8 megapixels and more.")
@click.option("--named", default="", help="Only photographs whose names contain this.")
@click.option("--rounds", "times", default=5, show_default=True, help="How often each is measured, in turns.")
@click.option("--requests", default=500, show_default=True, help="Repeated requests in each round; 0 for none.")
@click.option("--crowd", default=64, show_default=True, help="First views at once in 256 MB; 0 for none.")
@click.option("--judge/--no-judge", default=True, show_default=True, help="Whether to compute scores.")
@click.option("--own/--all", "only_own", default=False, help="Whether to leave out all peers.")
@click.option("--before", type=click.Path(path_type=Path), help="Another checkout of this service, also measured.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "benchmarks-peers.md")
@click.option("--corpus", type=click.Path(path_type=Path), default=CORPUS, help="A folder with photos/manifest.tsv.")
def main(  # noqa: PLR0913 - one argument an option
    *,
    photos: int,
    named: str,
    times: int,
    requests: int,
    crowd: int,
    judge: bool,
    only_own: bool,
    before: Path | None,
    out: Path,
    corpus: Path,
) -> None:
    """Measure the service beside sharp, ipx, thumbor and nginx, and write docs/benchmarks-peers.md.

    Installs them into build/bench-peers. The environment variable PEERS names more that run already, such as
    'imgproxy=http://127.0.0.1:8081 imagor=http://127.0.0.1:8000'; they must be allowed to read originals from loopback.
    """
    tools = ROOT / "build" / "bench-peers"
    if not only_own:
        peer_tools.install(tools)
    chosen = [
        photo
        for photo in photographs(corpus, at_most=None)
        if photo.megapixels >= LEAST_MEGAPIXELS and named in photo.name
    ]
    chosen = chosen[:: max(1, len(chosen) // photos)][:photos]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gf-images-bench-") as name:
        run = PeerRun(folder=Path(name), tools=tools, before=before, only_own=only_own)
        measured = run.measure(chosen, times=times, requests=requests, crowd=crowd, judge=judge)
    text = measured.markdown()
    print(f"\n{text}\n\n{time.monotonic() - began:.0f} seconds; written to {out}")
    if not out.exists():
        out.write_text(f"{report.BEGIN}\n{report.END}\n", encoding="utf-8")
    report.write(out, text)
    measured.draw(out.parent)


if __name__ == "__main__":
    main()
