"""Measures reprocessing on a folder and on a bucket, into docs/benchmarks-reprocess.md.

    python -m tests.benchmarks.reprocess [--originals 20000] [--distinct 2000] [--bucket-originals 2000]

Ends with 1 if anything was made twice, killed for its memory, or differs from an uninterrupted run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadtest.servers import seaweed
from loadtest.servers.service import on_bucket
from tests.benchmarks.pipeline import report
from tests.benchmarks.reprocess import mixture
from tests.benchmarks.reprocess.runs import ROOT, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.reprocess.mixture import Painted
    from tests.benchmarks.reprocess.runs import Ran

KILLS = 5
REFERENCE = 20_000
"""Originals of the site: what all is reckoned up to."""

DERIVATIVES = ("small", "medium", "large", "xlarge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """How much is run over, where, within what."""

    originals: int
    bucket_originals: int
    pictures: Sequence[Painted]
    folder: Path
    limit_bytes: int
    workers: int

    def site(self, name: str, **settings: str) -> Site:
        """Give a site in a folder of its own."""
        folder = self.folder / name
        folder.mkdir()
        told = settings or {"STORE": f"file://{folder}/store"}
        return Site(folder=folder, settings=told, limit_bytes=self.limit_bytes, workers=self.workers)


@click.command()
@click.option("--originals", default=20_000, show_default=True, help="How many on the file store.")
@click.option("--distinct", default=2_000, show_default=True, help="How many different pictures they are.")
@click.option("--bucket-originals", default=2_000, show_default=True, help="How many on a SeaweedFS; 0 for none.")
@click.option("--memory-mb", default=512, show_default=True, help="The bound on memory, of all processes together.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "benchmarks-reprocess.md")
def main(originals: int, distinct: int, bucket_originals: int, memory_mb: int, out: Path) -> None:
    """Reprocess painted originals: on a bucket, then each picture once in a folder, then all there, killed five times.

    Takes 2 MB of disk an original below TMPDIR. A full run takes some hours on two cores; for example:

    python -m tests.benchmarks.reprocess --originals 1000 --distinct 200 --bucket-originals 100 --out /tmp/it.md
    """
    with tempfile.TemporaryDirectory(prefix="gf-images-bench-") as name:
        folder = Path(name)
        print(f"painting {distinct} pictures", flush=True)
        pictures = mixture.distinct(folder / "pictures", distinct)
        bench = Bench(
            originals=originals,
            bucket_originals=bucket_originals,
            pictures=pictures,
            folder=folder,
            limit_bytes=memory_mb << 20,
            workers=2,
        )
        rows = [*(_on_bucket(bench) if bucket_originals else []), *_on_files(bench)]
    measured = markdown(rows, bench)
    print(measured)
    if not out.exists():
        out.write_text(f"{report.BEGIN}\n{report.END}\n", encoding="utf-8")
    report.write(out, measured)
    sys.exit(any(ran.twice or ran.oom_kills or ran.failed or not is_same for _, ran, is_same in rows))


Row = tuple[str, "Ran", bool]
"""What was done, what it came to, whether what came of it is as it has to be."""


def _on_files(bench: Bench) -> Iterator[Row]:
    whole, broken = bench.site("whole"), bench.site("broken")
    mixture.fill(whole.folder / "store", bench.pictures, len(bench.pictures))
    mixture.fill(broken.folder / "store", bench.pictures, bench.originals)
    yield _told("files, uninterrupted", whole.run(), is_same=True)
    killed = broken.run(kills=KILLS, kill_after=bench.originals // (KILLS + 2))
    yield _told(f"files, killed {KILLS} times", killed, is_same=are_alike(whole, broken, bench))
    again = broken.run()
    yield _told("files, a second run", again, is_same=again.made == 0)


def _on_bucket(bench: Bench) -> Iterator[Row]:
    (bench.folder / "weed").mkdir()
    with seaweed.running(bench.folder / "weed") as weed:
        for key, picture in mixture.keys(bench.pictures, bench.bucket_originals):
            weed.put(key, picture.path)
        site = bench.site("bucket", **on_bucket(weed, seaweed.ADMIN))
        yield _told("bucket, uninterrupted", site.run(), is_same=True)
        again = site.run()
        yield _told("bucket, a second run", again, is_same=again.made == 0)


def _told(name: str, ran: Ran, *, is_same: bool) -> Row:
    print(f"{name}: {ran.originals} in {ran.seconds:.0f} s, {ran.made} made, {ran.twice} twice", flush=True)
    return name, ran, is_same


def are_alike(whole: Site, broken: Site, bench: Bench) -> bool:
    """Compare every derivative of the one with that of the same picture in the other; none may be missing, or more."""
    known = [_derivatives(whole, key) for key, _ in mixture.keys(bench.pictures, len(bench.pictures))]
    keys = mixture.keys(bench.pictures, bench.originals)
    files = sum(path.is_file() for path in (broken.folder / "store" / "gall").rglob("*"))
    return files == bench.originals * (1 + len(DERIVATIVES)) and all(
        len(known[place % len(known)]) == len(DERIVATIVES) and _derivatives(broken, key) == known[place % len(known)]
        for place, (key, _) in enumerate(keys)
    )


def _derivatives(site: Site, key: str) -> dict[str, bytes]:
    """Give a digest of each derivative of an original."""
    stem = (site.folder / "store" / key).with_suffix("").name.removesuffix("original")
    folder = (site.folder / "store" / key).parent
    found = {size: folder.glob(f"{stem}{size}.*") for size in DERIVATIVES}
    return {size: _digest(path) for size, paths in found.items() for path in paths}


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def markdown(rows: Sequence[Row], bench: Bench) -> str:
    heads = (
        "run",
        "originals",
        "wall s",
        "originals/s",
        "CPU ms each",
        f"hours for {REFERENCE:,}",
        "peak MB",
        "made",
        "twice",
        "as it has to be",
    )
    lines = [
        (
            name,
            f"{ran.originals:,}",
            f"{ran.seconds:.0f}",
            f"{ran.per_second:.1f}",
            f"{1000 * ran.cpu_seconds / ran.originals:.0f}" if ran.starts == 1 else "",
            f"{REFERENCE / ran.per_second / 3600:.2f}",
            f"{ran.peak_bytes / 1e6:.0f}",
            f"{ran.made:,}",
            f"{ran.twice}",
            "yes" if is_same else "**no**",
        )
        for name, ran, is_same in rows
    ]
    megapixels = sum(picture.megapixels for picture in bench.pictures) / len(bench.pictures)
    kills = sum(ran.oom_kills for _, ran, _ in rows)
    return "\n\n".join(
        [_machine(rows[0][1].how, megapixels, bench), report.table(heads, lines), f"Killed for their memory: {kills}."]
    )


def _machine(how: str, megapixels: float, bench: Bench) -> str:
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} processors, Python "
        f"{platform.python_version()}; {len(bench.pictures)} different pictures, {megapixels:.1f} megapixels in the "
        f"mean, `--workers {bench.workers}`, {how}; load averages at the end {load}."
    )


if __name__ == "__main__":
    main()
