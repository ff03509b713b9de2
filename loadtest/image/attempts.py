"""What code that has taken a decoder over may try inside the image: each attempt must be stopped there too."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.image.container import Contained

SCRIPT = """
import mmap, os, socket, sys, tempfile
from pathlib import Path
from pipeline.process.confinement.confine import confine

folder, parent = Path(tempfile.mkdtemp()), os.getpid()
outside = Path(tempfile.mkdtemp())
attempts = {
    "read the environment of process 1": lambda: Path("/proc/1/environ").read_bytes(),
    "read the environment of its parent": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
    "list processes": lambda: os.listdir("/proc"),
    "read a file of the image": lambda: Path("/app/NOTICE").read_bytes(),
    "list the data": lambda: os.listdir("."),
    "write outside": lambda: (outside / "written").write_bytes(b""),
    "link outside": lambda: os.link(folder / "own", outside / "linked"),
    "open a socket": lambda: socket.socket(),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX),
    "signal its parent": lambda: os.kill(parent, 0),
    "fork": lambda: os._exit(0 if os.fork() else 1),
    "start a program": lambda: os.execv(sys.executable, [sys.executable, "-c", ""]),
    "make a file in memory": lambda: os.memfd_create("program"),
    "map executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "set the user id bit": lambda: os.chmod(folder / "own", 0o4755),
}
(folder / "own").write_bytes(b"own")
reached = []
for name, attempt in {**attempts, "": lambda: (folder / "own").read_bytes()}.items():
    pid = os.fork()
    if not pid:
        try:
            confine(folder, level="require")
            attempt()
        except BaseException as fault:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1] == 0:
        reached.append(name)
print(len(attempts), "attempts of a decoder's code; not stopped:", ", ".join(reached[:-1]) or "none")
sys.exit(reached != [""])
"""
"""Runs with the image's own Python. The last use, of the own folder, must succeed: nothing else does."""


def check_attempts(beside: Contained) -> None:
    """Make all attempts inside the image; exit if one is not stopped."""
    if status := beside.run("python", "-c", SCRIPT):
        sys.exit(f"attempts of a decoder's code inside the image end with {status}")
