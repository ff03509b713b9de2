"""Runs of `gf-images reprocess` in processes of their own, on stores that can be looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from proxy.bulk.events import OriginalDone, RunEnded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
SIZES = "[sizes.small]\nwidth = 60\n[sizes.large]\nwidth = 240\n"
DEADLINE_SECONDS = 300.0

Told = OriginalDone | RunEnded


class Reprocess:
    """One `gf-images reprocess --json` on a folder's store; its folder for state stays."""

    def __init__(self, folder: Path, *words: str, sizes: str = SIZES, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sizes.toml").write_text(sizes)
        (folder / "tmp").mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "tmp"),
            "SIZES_FILE": str(folder / "sizes.toml"),
            "STORE": f"file://{folder}/store",
            **settings,
        }
        workers = [] if "--through-queue" in words else ["--workers", "2"]
        command = [sys.executable, "-m", "proxy", "reprocess", "--json", *workers, *words]
        with (folder / "errors").open("ab") as errors:
            self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=errors)
        self.originals: list[OriginalDone] = []
        self.ended: RunEnded | None = None
        self._watch = threading.Timer(DEADLINE_SECONDS, self.process.kill)
        self._watch.start()

    def hear(self, originals: int = sys.maxsize) -> None:
        """Listen until so many originals are over, or all is."""
        out = self.process.stdout
        assert out is not None
        while len(self.originals) < originals and (line := out.readline()).endswith(b"\n"):
            if msgspec.json.decode(line)["event"] in ("original", "ended"):
                event = msgspec.json.decode(line, type=Told)
                if isinstance(event, RunEnded):
                    self.ended = event
                else:
                    self.originals.append(event)

    def hear_of(self, event: str) -> None:
        """Listen until something of that name is told."""
        out = self.process.stdout
        assert out is not None
        while (line := out.readline()) and msgspec.json.decode(line)["event"] != event:
            pass

    def end(self) -> int:
        """Listen to the end; give the exit code."""
        out = self.process.stdout
        if out is not None and not out.closed:
            self.hear()
            out.close()
        self._watch.cancel()
        return self.process.wait()

    def kill(self) -> None:
        """Kill it, and hear what it had said."""
        self.process.kill()
        self.end()


@contextmanager
def reprocessing(folder: Path, *words: str, sizes: str = SIZES, **settings: str) -> Iterator[Reprocess]:
    """Have a run going; it is killed at the end if it still goes on."""
    one = Reprocess(folder, *words, sizes=sizes, **settings)
    try:
        yield one
    finally:
        one.kill()


def fill(folder: Path, photos: Sequence[Path], originals: int) -> None:
    """Put originals into the folder's store."""
    for number in range(originals):
        path = folder / "store" / f"gall/{number % 7}/{number}_original.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photos[number % len(photos)].read_bytes())


def made(folder: Path) -> dict[str, bytes]:
    """Give every derivative by its key."""
    root = folder / "store"
    paths = [path for size in ("small", "large") for path in root.glob(f"gall/*/*_{size}.jpg")]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def run(folder: Path, *words: str, sizes: str = SIZES, **settings: str) -> RunEnded:
    """Run to the end, which has to be a good one."""
    with reprocessing(folder, *words, sizes=sizes, **settings) as one:
        assert one.end() == 0, (folder / "errors").read_text()
        assert one.ended is not None
        return one.ended
