"""A forked child that confines itself and then runs what a test wants."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from pipeline.process.confinement.confine import confine
from tests.pipeline.process.confinement.attempts import ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.protocol import SandboxLevel


def outcome(
    use: Callable[[], object],
    folder: Path,
    *,
    level: SandboxLevel = "best",
    prepare: Callable[[], object] = lambda: None,
) -> str:
    """Run `use` in a confined child; return what it returns, the name of its error, or the signal that killed it.

    `prepare` runs in the child before it is confined.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, _used(use, prepare, folder, level).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read().decode()
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else told


def _used(use: Callable[[], object], prepare: Callable[[], object], folder: Path, level: SandboxLevel) -> str:
    def confined_use() -> object:
        prepare()
        confine(folder, level=level)
        return use()

    return ended(confined_use)
