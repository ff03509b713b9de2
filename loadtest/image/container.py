"""A service in its unpacked image, entered as a container is."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.servers.service import STOP_SECONDS, Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadtest.image.layout import Image

ENTER = Path(__file__).with_name("enter")
STORE = "file://var/store"
"""The service's default store, below the working directory of the image."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An image whose files were unpacked into a folder."""

    image: Image
    root: Path

    def service(self, folder: Path, *, entry: Sequence[str] = (), **settings: str) -> Contained:
        """Return a service of this image whose data are in `folder`; `entry` is a prefix of its command."""
        mounted_at = self.image.config.working_dir
        user, group = (int(number) for number in self.image.config.user.split(":"))
        os.chown(folder, user, group)
        return Contained(
            folder=folder,
            settings={"STORE": STORE, **self.image.config.environment, **settings},
            entry=(*entry, str(ENTER), str(self.root), str(folder), mounted_at, self.image.config.user),
            program=self.image.config.entrypoint,
        )


def unnamed(root: Path) -> list[str]:
    """Return the system packages that an unpacked image contains, but that its own NOTICE does not name."""
    lines = (root / "app/NOTICE").read_text(encoding="utf-8").splitlines()
    named = {word for line in lines if line.startswith(" " * 4) for word in line.split()[:1]}
    return sorted({folder.name for folder in (root / "usr/share/doc").iterdir()} - named)


@contextmanager
def unpacked(image: Image) -> Iterator[Unpacked]:
    """Yield an image unpacked into a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="gf-images-root-") as name:
        root = Path(name, "root")
        root.mkdir()
        image.unpack(root)
        yield Unpacked(image, root)


class Contained(Service):
    """A service that runs as process 1 of its own namespaces."""

    def create_store(self) -> None:
        """Leave that to the service, whose user owns the folder above."""

    @property
    def store(self) -> Path:
        """The folder of its file store, as a path outside of the image."""
        return self.folder / STORE.removeprefix("file://")

    def main_pid(self) -> int:
        """Return the id of its main process outside of its PID namespace."""
        (pid,) = self.children()
        return pid

    def processes(self) -> set[int]:
        """Return the ids of its main process and all its descendants."""
        found = set()
        waiting = self.children()
        while waiting:
            pid = waiting.pop()
            found.add(pid)
            for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting |= {int(child) for child in tasks.read_text(encoding="ascii").split()}
        return found

    def run(self, *command: str) -> int:
        """Run another command in the service's place, with its environment, and return the exit status."""
        return subprocess.run([*self.entry, *command], env=self.environment(), check=False, timeout=60).returncode

    def stop(self) -> int:
        """Send SIGTERM to its process 1, as a container engine does, and return the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            os.kill(self.main_pid(), signal.SIGTERM)
        return self.process.wait(timeout=STOP_SECONDS)

    def resident_bytes(self) -> int:
        """Return the memory of all its processes; shared memory counts once."""
        return sum(_proportional_bytes(pid) for pid in self.processes())

    def stands(self) -> dict[str, str]:
        """Return the user of its main process, its id inside the image, and how its root file system is mounted."""
        pid = self.main_pid()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
        (root,) = (words[5].split(",")[0] for words in mounts if words[4] == "/")
        return {"user": status["Uid"].split()[0], "process": status["NSpid"].split()[-1], "root": root}


def _proportional_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
