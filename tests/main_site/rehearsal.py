"""The whole cut-over on a folder of photographs: `python -m tests.main_site.rehearsal`, or `make rehearse-cutover`.

The old backends make their sizes: Jimp of half of the originals, as the site did before 2026, and libvips of the
others. The service makes its own in the shadow (half of them by jobs, the rest by a reprocess), both are compared, what
passed is promoted, and all of it undone. Ends with 1 if a live name is not as it should be.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import click
import httpx
import msgspec

from loadtest.demo import ended
from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, order, signed, started
from tests.main_site import node
from tests.pipeline.rendering import photographs

SHADOW = "shadow/"
Backend = Literal["jimp", "libvips"]

EXPECTED: dict[Backend, tuple[str, ...]] = {
    "jimp": (
        "old-blurred",
        "old-leaks-gps",
        "old-leaks",
        "old-profile-lost",
        "dimensions",  # it enlarges what is smaller than a size
        "looks-different",
        "bytes",
        "cache-control",
        "colour",
        "one-pixel",
    ),
    "libvips": (
        "old-leaks-gps",
        "old-leaks",
        "dimensions",  # it enlarges too, and fits portraits into a square
        "bytes",  # of portraits: theirs are smaller pictures
        "old-blurred",  # where it enlarges
        "cache-control",
        "one-pixel",
    ),
}
"""Differences from which a site has its new backend, by old backend."""

ALLOWED = sorted({cause for causes in EXPECTED.values() for cause in causes})

PREFIXES = ("gall/", "keys/")
"""Where the site has originals with sizes."""

SETTINGS = {
    "SIZES_FILE": str(node.ROOT / "config" / "sizes-gallformers.toml"),
    "ORIGINALS_PREFIX": ",".join(PREFIXES),
    "SHADOW_PREFIX": SHADOW,
}

LARGEST_BYTES = 12_000_000
"""Of a photograph: Jimp needs 500 MB and 8 s for 12 megapixels, and refuses 24."""

NOISE_LEVELS = 0.5
"""Little: at 300 pixels Jimp makes dots of it, and what libvips enlarges keeps more of it than a JPEG at its own
dimensions. Both count as detail that the service blurs."""

WINDOW = "1400,2000"


class Wrong(Exception):
    """A live name is not as it should be."""


@dataclass(frozen=True, slots=True)
class Site:
    """The folder of a store, and the commands on it."""

    folder: Path

    @property
    def store(self) -> Path:
        """Where blobs lie."""
        return self.folder / "store"

    def run(self, *words: str) -> int:
        """Run `gf-images` with the shadow; give its exit code, 0 or 1."""
        click.echo(f"$ gf-images {' '.join(words)}")
        environment = {**os.environ, "STORE": f"file://{self.store}", **SETTINGS}
        command = [sys.executable, "-m", "proxy", *words]
        code = subprocess.run(command, env=environment, cwd=node.ROOT, check=False).returncode
        if code not in {0, 1}:
            raise click.ClickException(f"it ended with {code}")
        return code

    def live(self) -> dict[str, bytes]:
        """Give a digest of everything under a live name."""
        return self.below("")

    def below(self, prefix: str) -> dict[str, bytes]:
        """Give a digest of everything below a prefix, by its live name."""
        root = self.store / prefix
        paths = (path for folder in PREFIXES for path in (root / folder).glob("*/*") if path.is_file())
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).digest() for path in paths}


@click.command()
@click.option("--photographs", "number", default=200, show_default=True, help="How many, real ones first.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the report here, instead of var/rehearsal.")
@click.option("--screenshot", type=click.Path(path_type=Path), help="Write a picture of the report, by chromium.")
def main(*, number: int, keep: Path | None, screenshot: Path | None) -> None:
    """Rehearse the cut-over on so many photographs: those of IMAGE_CORPUS, as far as may be, and painted ones."""
    report = (keep or Path("var/rehearsal")).resolve()
    with tempfile.TemporaryDirectory(prefix="gf-images-rehearsal-") as name:
        site = Site(Path(name))
        try:
            rehearse(site, upload(site, number), report)
        except Wrong as wrong:
            raise click.ClickException(str(wrong)) from wrong
    click.echo(f"report: {report / 'index.html'}")
    if screenshot:
        shoot(report, screenshot)


def rehearse(site: Site, keys: list[str], report: Path) -> None:
    """Go through every step.

    Raises:
        Wrong: a live name is not as it should be.
    """
    click.echo(f"the old backends make the sizes of {len(keys)} originals")
    made = old_writes(site, keys)
    before = site.live()
    click.echo(f"{made} made; the service makes them in the shadow, half of them by jobs")
    shadow_writes(site, keys)
    _expect(site.live(), before, "the shadow changed")
    allowed = [word for cause in ALLOWED for word in ("--allow", cause)]
    sides = "--old", "prefix:", "--new", f"prefix:{SHADOW}"
    site.run("compare", *sides, "--report", str(report), "--restart", *allowed)
    for backend, counts in causes(report).items():
        click.echo(f"{backend}: {', '.join(f'{cause} {number}' for cause, number in counts.most_common())}")
    site.run("promote", "--report", str(report), *allowed)
    after = site.live()
    _expect(after, {**before, **_promoted(site, report)}, "the promotion changed something else than")
    click.echo(f"{sum(after[key] != before.get(key) for key in after)} live derivatives are the service's now")
    site.run("promote", "--undo")
    _expect(site.live(), before, "the undoing left")
    click.echo("undone: every live name is as the old backends left it, byte for byte")


def backend_of(key: str) -> Backend:
    """Give the old backend that makes the sizes of an original: libvips of every other pair, and below `keys/`."""
    place = int(PurePosixPath(key).name.split("_")[1])
    return "jimp" if key.startswith("gall/") and place % 4 < 2 else "libvips"


def causes(report: Path) -> dict[Backend, Counter[str]]:
    """Count the causes that a report has of the derivatives of each old backend."""
    counts: dict[Backend, Counter[str]] = {backend: Counter() for backend in EXPECTED}
    for finding in msgspec.json.decode((report / "report.json").read_bytes())["findings"]:
        counts[backend_of(finding["key"])].update(cause["code"] for cause in finding["causes"])
    return counts


def upload(site: Site, number: int) -> list[str]:
    """Put originals under the site's names, the real ones first; give their keys."""
    chance = random.Random(58)  # noqa: S311 - the same photographs each time, no secret
    real = [path for path in photographs(".jpg", ".jpeg", ".png") if path.stat().st_size < LARGEST_BYTES][:number]
    keys = [f"{_stem(place)}_original{path.suffix.lower()}" for place, path in enumerate(real)]
    for key, path in zip(keys, real, strict=True):
        _path(site, key)
        shutil.copyfile(path, site.store / key)
    for place in range(len(real), number):
        key = f"{_stem(place)}_original.jpg"
        width = chance.choice((600, 1000, 1600, 2400))
        photograph = Photograph(
            width=width,
            height=width * 3 // 4,
            orientation=chance.choice((1, 1, 1, 6, 8)),
            gps=place % 2 == 0,
            noise=NOISE_LEVELS,
            seed=place,
        )
        paint(_path(site, key), photograph, Q=90)
        keys.append(key)
    return keys


def _stem(place: int) -> str:
    """Give how a key begins: that of every tenth original as in an identification key."""
    folder = "keys" if place % 10 == 3 else "gall"
    return f"{folder}/{place % 40}/{place % 40}_{place}"


def old_writes(site: Site, keys: list[str]) -> int:
    """Have the old backends make the sizes, each in two processes; count what they could read."""
    return sum(_old_writes(site, [key for key in keys if backend_of(key) == backend], backend) for backend in EXPECTED)


def _old_writes(site: Site, keys: list[str], backend: Backend) -> int:
    commands: dict[Backend, tuple[list[str], Path]] = {
        "jimp": (["node", "--max-old-space-size=2048", "old-backend.mjs"], node.prepare()),
        "libvips": ([sys.executable, "-m", "tests.main_site.old_libvips"], node.ROOT),
    }
    command, folder = commands[backend]

    def some(part: list[str]) -> int:
        text = "".join(f"{key}\n" for key in part)
        told = subprocess.run(
            [*command, str(site.store)], cwd=folder, input=text, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        faults = [line for line in map(msgspec.json.decode, told.splitlines()) if "fault" in line]
        for fault in faults:
            click.echo(f"{backend} cannot make {fault['key']}: {fault['fault'][:90]}")
        return len(part) - len(faults)

    with ThreadPoolExecutor(2) as threads:
        return sum(threads.map(some, (keys[::2], keys[1::2])))


def shadow_writes(site: Site, keys: list[str]) -> None:
    """Have the service make every other original's sizes by a job, then what is missing by a reprocess."""
    with started(Service(folder=site.folder, settings={**SETTINGS, "QUEUE_SIZE": "1000"})) as service:
        locations = [_post(service, key) for key in keys[::2]]
        failed = [job for job in (ended(service, location) for location in locations) if job.error]
    for job in failed:
        click.echo(f"the service cannot make {job.id}: {job.error}")
    site.run("reprocess", "--state", str(site.folder / "state"), "--max-failures", "100%")


def shoot(report: Path, picture: Path) -> None:
    """Take a picture of the report as a browser shows it from the disk."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise click.ClickException("no chromium is here: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        words = "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"
        address = (report / "index.html").as_uri()
        command = [browser, *words, f"--window-size={WINDOW}", f"--screenshot={picture.resolve()}", address]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600)
    click.echo(f"screenshot: {picture}")


def _post(service: Service, key: str) -> str:
    body = order(key)
    answer = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).raise_for_status()
    return answer.headers["location"]


def _path(site: Site, key: str) -> Path:
    path = site.store / key
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _promoted(site: Site, report: Path) -> dict[str, bytes]:
    """Give what has to be live: what the report let pass, as it lies in the shadow."""
    document = msgspec.json.decode((report / "report.json").read_bytes())
    stopped = {
        one["key"].replace("_original.", f"_{one['size']}.")
        for one in document["findings"]
        if {cause["code"] for cause in one["causes"]} - {*ALLOWED}
    }
    return {key: digest for key, digest in site.below(SHADOW).items() if key not in stopped}


def _expect(found: dict[str, bytes], expected: dict[str, bytes], what: str) -> None:
    wrong = [key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)]
    if wrong:
        raise Wrong(f"{what} {len(wrong)} live names, such as {min(wrong)}")


if __name__ == "__main__":
    main()
