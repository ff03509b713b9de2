"""Helpers for rendering in tests: within this process, in a real render process, and the corpus of photographs."""

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
"""Photographs and hostile files that are too large for the repository."""

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
"""The photographs of the corpus that are refused, with the error's code."""


def photographs(*suffixes: str) -> list[Path]:
    """List the photographs of the corpus that must render, all or only those with these suffixes in lower case.

    The list is empty if the corpus is missing.
    """
    return sorted(
        path
        for path in CORPUS.glob("photos/*")
        if path.suffix.lower() in (suffixes or {path.suffix.lower()} - {".tsv"}) and path.name not in UNREADABLE
    )


def render_into(folder: Path, path: Path, *sizes: Size, wanted: tuple[str, ...] = ()) -> Derived:
    """Render within this process; the sizes default to those of the live site."""
    folder.mkdir(parents=True, exist_ok=True)
    return render(Render(path=str(path), folder=str(folder), sizes=sizes or SITE, wanted=wanted))


def seen(path: str) -> PIL.Image.Image:
    """Decode a derivative with Pillow, independently of libvips."""
    with PIL.Image.open(path) as picture:
        picture.load()
        return picture


class RenderProcess:
    """A real render process, queried over its pipes and killed at the end of the `with` block."""

    def __init__(self, *arguments: str, module: str = "pipeline.process.render_worker", **environment: str) -> None:
        # A file, because an unread pipe would fill up and block the process.
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
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
        """Return whether the process has exited."""
        return self.process.poll() is not None

    def line(self) -> bytes:
        """Read one line of the process's stdout; empty if it has exited."""
        assert self.process.stdout
        return self.process.stdout.readline()

    def say(self, line: bytes) -> None:
        """Write one line to the process's stdin."""
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def ask(self, question: Question | Compare, *, seconds: float = 60) -> Answer:
        """Send a request and return the response.

        Raises:
            TimeoutError: the process did not respond in time.
            EOFError: the process exited instead; the arguments are the result of `finish`.
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
        """Return the peak resident memory of the process so far."""
        return self._status_bytes("VmHWM:")

    def held_bytes(self) -> int:
        """Return the current resident memory of the process."""
        return self._status_bytes("VmRSS:")

    def _status_bytes(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith(name)))

    def limit(self, name: str) -> str:
        """Return a resource limit of the process, by its name in `/proc/<pid>/limits`."""
        lines = Path(f"/proc/{self.process.pid}/limits").read_text().splitlines()
        return next(line.removeprefix(name).split()[0] for line in lines if line.startswith(name))

    def finish(self) -> tuple[int, bytes, bytes]:
        """Close the process's stdin; return its exit code, the rest of its stdout, and its stderr."""
        out, _ = self.process.communicate(timeout=20)
        self.errors.seek(0)
        return self.process.returncode, out, self.errors.read()
