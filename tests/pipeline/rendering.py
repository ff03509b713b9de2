"""Helpers for rendering in tests: within this process, in a real render process, and the corpus of photographs."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec
import PIL.Image
import pytest

from pipeline.image import vips
from pipeline.protocol import (
    ENVIRONMENT,
    Answer,
    Compare,
    Compared,
    Derived,
    Fault,
    Finished,
    Fork,
    Forked,
    Made,
    Probed,
    Proceed,
    Ready,
    Reap,
    Reaped,
    Refusal,
    Render,
)  # fmt: skip
from pipeline.render.render import Rendering
from pipeline.size import Size
from proxy.rendering.conversation import with_summary
from proxy.rendering.made_files import MadeFiles, made_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.protocol import ImageInfo, Limits

F = TypeVar("F", bound="Callable[..., object]")
S = TypeVar("S", Ready, Forked, Reaped)

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


def render_into(folder: Path, path: Path, *sizes: Size, wanted: tuple[str, ...] = (), first: str = "") -> Derived:
    """Render within this process; the sizes default to those of the live site."""
    folder.mkdir(parents=True, exist_ok=True)
    return render(Render(path=str(path), folder=str(folder), sizes=sizes or SITE, wanted=wanted, first=first))


def render(question: Render) -> Derived:
    """Render within this process, and take the files as the service does."""
    with made_files(Path(question.folder)) as files:
        rendering = Rendering(msgspec.structs.replace(question, folder=str(files.made)))
        return _derived(question, rendering.info, files, rendering.run(first=question.first))


def probe(path: Path, *, limits: Limits, sizes: tuple[Size, ...] = ()) -> ImageInfo:
    """Return the properties of an original within this process."""
    return Rendering(Render(path=str(path), folder="", sizes=sizes, limits=limits)).info


def _derived(question: Render, info: ImageInfo, files: MadeFiles, messages: Iterable[Made]) -> Derived:
    sizes = {size.name: size for size in question.sizes}
    made = {
        one.size: with_summary(files.take(sizes[one.size], question, info, libvips=vips.VERSION), info, one.preview)
        for one in messages
    }
    return Derived(info=info, derivatives=tuple(made[name] for name in sizes if name in made))


def seen(path: str) -> PIL.Image.Image:
    """Decode a derivative with Pillow, independently of libvips."""
    with PIL.Image.open(path) as picture:
        picture.load()
        return picture


class RenderProcess:
    """A real fork server, asked by this process as by the service; it is killed at the end of the `with` block.

    The child of a request lives until the next request, so that a test can look at it.
    """

    def __init__(self, *arguments: str, module: str = "pipeline.process.render_server", **environment: str) -> None:
        # A file, because an unread pipe would fill up and block the process.
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self.control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_control:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=its_control.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **ENVIRONMENT, **environment},
            )
        self.child = 0
        """The process id of the last child that was forked, until it is collected."""
        self.channel: socket.SocketIO | None = None
        try:
            self.ready = self._report(Ready)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.control.close()
        self.errors.close()
        if self.channel:
            self.channel.close()

    def fork(self) -> None:
        """Collect the last child, and fork another."""
        self.reap()
        channel, its_channel = socket.socketpair()
        with channel, its_channel:
            descriptors = [its_channel.fileno(), self.errors.fileno()]
            socket.send_fds(self.control, [msgspec.json.encode(Fork())], descriptors)
            self.child = self._report(Forked).pid
            self.channel = channel.makefile("rwb", buffering=0)

    def reap(self) -> int | None:
        """Kill the last child, and return its exit status; None if there is none."""
        if not self.child:
            return None
        with suppress(ProcessLookupError):
            os.killpg(self.child, signal.SIGKILL)
        self.control.send(msgspec.json.encode(Reap(pid=self.child)))
        self.child = 0
        if self.channel:
            self.channel.close()
        return self._report(Reaped).status

    def _report(self, kind: type[S]) -> S:
        return msgspec.json.decode(self.control.recv(4096), type=kind)

    def say(self, line: bytes) -> None:
        """Send one line to the child."""
        assert self.channel
        self.channel.write(line + b"\n")

    def line(self) -> bytes:
        """Read one line of the child's answers; empty if it has exited."""
        assert self.channel
        return self.channel.readline()

    def ask(self, question: Render | Compare, *, seconds: float = 60) -> Derived | Compared | Refusal | Fault:
        """Let a new child answer the request, and return the outcome.

        Raises:
            TimeoutError: the child did not answer in time.
            EOFError: the child exited instead; the argument is its exit status.
        """
        self.fork()
        deadline = time.monotonic() + seconds
        if isinstance(question, Compare):
            self.say(msgspec.json.encode(question))
            return self._outcome(self._answer(deadline))
        with made_files(Path(question.folder)) as files:
            self.say(msgspec.json.encode(msgspec.structs.replace(question, folder=str(files.made))))
            probed = self._answer(deadline)
            if not isinstance(probed, Probed):
                return self._outcome(probed)
            self.say(msgspec.json.encode(Proceed(first=question.first)))
            messages = []
            while isinstance(answer := self._answer(deadline), Made):
                messages.append(answer)
            if not isinstance(answer, Finished):
                return self._outcome(answer)
            return _derived(question, probed.info, files, messages)

    def probe(self, path: Path, *sizes: Size) -> Probed | Refusal | Fault:
        """Let a new child read the header of an original, within ten seconds."""
        self.fork()
        self.say(msgspec.json.encode(Render(path=str(path), folder=str(path.parent), sizes=sizes)))
        answer = self._answer(time.monotonic() + 10)
        assert isinstance(answer, Probed | Refusal | Fault)
        return answer

    def _answer(self, deadline: float) -> Answer:
        assert self.channel
        if not select.select([self.channel.fileno()], [], [], max(0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        if not (line := self.line()):
            raise EOFError(self.reap())
        answer: Answer = msgspec.json.decode(line, type=Answer)
        return answer

    def _outcome(self, answer: Answer) -> Compared | Refusal | Fault:
        assert isinstance(answer, Compared | Refusal | Fault)
        return answer

    def peak_bytes(self) -> int:
        """Return the peak resident memory of the last child so far."""
        return self._status_bytes("VmHWM:", self.child)

    def held_bytes(self) -> int:
        """Return the current resident memory of the fork server."""
        return self._status_bytes("VmRSS:", self.process.pid)

    def _status_bytes(self, name: str, pid: int) -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith(name)))

    def limit(self, name: str) -> str:
        """Return a resource limit of the last child, by its name in `/proc/<pid>/limits`."""
        lines = Path(f"/proc/{self.child}/limits").read_text().splitlines()
        return next(line.removeprefix(name).split()[0] for line in lines if line.startswith(name))

    def finish(self) -> tuple[int, bytes]:
        """Close the socket to the fork server; return its exit code, and what was written to stderr."""
        self.reap()
        self.control.close()
        self.process.wait(timeout=20)
        self.errors.seek(0)
        return self.process.returncode, self.errors.read()
