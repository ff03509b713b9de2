"""Runs the code blocks of documents as a reader would, on a service of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from loadtest.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
"""Stand-ins for programs that would install or download something: `make` and `docker`."""
ADDRESS = "http://127.0.0.1:8080"
"""The address of the service in all documents."""
START_SECONDS = 60.0
RUN_SECONDS = 600.0

_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block: the language of its fence, its text, and the heading above it."""

    kind: str
    text: str
    heading: str


def blocks(document: Path) -> list[Block]:
    """Return the code blocks of a document, in its order."""
    source = document.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(source):
        without_code = _FENCE.sub("", source[: fence.start()])
        headings = re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)
        found.append(Block(fence["kind"], fence["text"], headings[-1] if headings else ""))
    return found


def run(block: Block, *, at: str, cwd: Path, **environment: str) -> str:
    """Run a block of a document, with `at` as the address of the service; return its output.

    Raises:
        AssertionError: it failed; the message has what it printed.
    """
    text = block.text.replace(ADDRESS, at)
    command = {
        "sh": ["bash", "-euo", "pipefail", "-c", text],
        "python": [sys.executable, "-c", text],
        "js": ["node", "--input-type=module", "--eval", text],
    }[block.kind]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=_environment(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def serving(block: Block, *, cwd: Path, **environment: str) -> Iterator[str]:
    """Run a block whose last command is a service, and yield its address once it is ready; Ctrl-C ends it."""
    port, metrics_port = str(free_port()), str(free_port())
    ours = {"PORT": port, "METRICS_PORT": metrics_port, **environment}
    with (cwd / "output").open("w+b") as output:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block.text.replace("8080", port)],
            cwd=cwd, env=_environment(ours), stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_ready(address, process, cwd / "output")
            yield address
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=60)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a reader: the stand-ins come first, then the programs of this environment."""
    path = f"{PROGRAMS}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {name: value for name in ("HOME", "LANG", "TMPDIR") if (value := os.environ.get(name))}
    return {**kept, "PATH": path, "ROOT": str(ROOT), **more}


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz", timeout=10).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the service did not get ready:\n{output.read_text(encoding='utf-8', errors='replace')}")
