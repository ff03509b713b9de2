"""Ways to render in tests: in this process, in a real render process, and where the photographs are."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec
import PIL.Image
import pytest

from pipeline.protocol import ENVIRONMENT, Answer, Compare, Derived, Question, Ready, Render
from pipeline.render.render import render
from pipeline.size import Size

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")

CORPUS = Path(os.environ.get("IMAGE_CORPUS", Path(__file__).parents[3] / "shared" / "images"))
"""Photographs and hostile files that are too large to be kept with the code."""

SITE = (
    Size(name="small", width=300),
    Size(name="medium", width=800),
    Size(name="large", width=1200),
    Size(name="xlarge", width=2000),
)
"""The sizes of the live site."""


def needs_corpus(test: F) -> F:
    """Mark a test that walks the corpus: it is slow, and skipped where there is none."""
    lacks = pytest.mark.skipif(not CORPUS.exists(), reason=f"no corpus at {CORPUS}: set IMAGE_CORPUS")
    marked: F = pytest.mark.slow(lacks(test))
    return marked


UNREADABLE = {"pillow_heif__200MP.heic": "too-many-pixels", "images__tv-test-pattern-146649.svg": "unsupported-format"}
"""The photographs of the corpus that are refused, and why."""


def photographs(*suffixes: str) -> list[Path]:
    """List the photographs of the corpus that must render, all or those with one of these suffixes, in lower case.

    There are none where there is no corpus.
    """
    return sorted(
        path
        for path in CORPUS.glob("photos/*")
        if path.suffix.lower() in (suffixes or {path.suffix.lower()} - {".tsv"}) and path.name not in UNREADABLE
    )


def render_into(folder: Path, path: Path, *sizes: Size, wanted: tuple[str, ...] = ()) -> Derived:
    """Render in this process, the live site's sizes when none are named."""
    folder.mkdir(parents=True, exist_ok=True)
    return render(Render(path=str(path), folder=str(folder), sizes=sizes or SITE, wanted=wanted))


def seen(path: str) -> PIL.Image.Image:
    """Look at a derivative with a program that is not ours."""
    with PIL.Image.open(path) as picture:
        picture.load()
        return picture


class RenderProcess:
    """A real render process, asked over its pipes; ended at the end of a `with`."""

    def __init__(self, *arguments: str, module: str = "pipeline.process.render_worker", **environment: str) -> None:
        # A pipe that nobody reads would be full one day, and stop it.
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **ENVIRONMENT, **environment},
        )
        try:
            self.ready = msgspec.json.decode(self.line(), type=Ready)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def has_ended(self) -> bool:
        """Tell whether it is no more."""
        return self.process.poll() is not None

    def line(self) -> bytes:
        """Read one line of what it says; empty when it has ended."""
        assert self.process.stdout
        return self.process.stdout.readline()

    def say(self, line: bytes) -> None:
        """Write one line to it."""
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def ask(self, question: Question | Compare, *, seconds: float = 60) -> Answer:
        """Ask one question and wait for the answer.

        Raises:
            TimeoutError: there was none in time.
            EOFError: the process ended instead; with its status, and what it wrote to standard error.
        """
        self.say(msgspec.json.encode(question))
        assert self.process.stdout
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise TimeoutError
        line = self.line()
        if not line:
            raise EOFError(*self.finish())
        answer: Answer = msgspec.json.decode(line, type=Answer)
        return answer

    def peak_bytes(self) -> int:
        """Tell the most resident memory that it ever had."""
        return self._status_bytes("VmHWM:")

    def held_bytes(self) -> int:
        """Tell the resident memory that it has now."""
        return self._status_bytes("VmRSS:")

    def _status_bytes(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith(name)))

    def limit(self, name: str) -> str:
        """Tell a limit that it works under, by its name in the kernel's table."""
        lines = Path(f"/proc/{self.process.pid}/limits").read_text().splitlines()
        return next(line.removeprefix(name).split()[0] for line in lines if line.startswith(name))

    def finish(self) -> tuple[int, bytes, bytes]:
        """Close its input; gives its exit code, and what else it wrote to standard output and standard error."""
        out, _ = self.process.communicate(timeout=20)
        self.errors.seek(0)
        return self.process.returncode, out, self.errors.read()
