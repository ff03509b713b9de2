"""A trial of the sandbox, in a process of its own: what does this kernel enforce?"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.process.confinement.confine import confine
from pipeline.protocol import InForce

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.protocol import SandboxLevel

_ANSWER_BYTES: Final = 4096
_NOT_ENFORCED: Final = "{} is not in force: the kernel accepts it, but does not enforce it."


def try_out(folder: Path, level: SandboxLevel = "best") -> InForce:
    """Fork a child that confines itself to `folder`, tries what is then forbidden, and ends; return what is in force.

    Call it from a process with one thread. With the level "off", nothing is tried, and nothing is in force.
    """
    if level == "off":
        return InForce()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, msgspec.json.encode(_tried(folder)))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read(_ANSWER_BYTES)
    _, status = os.waitpid(pid, 0)
    if not answer:
        return InForce(missing=(f"The sandbox is not in force: its trial ended with status {status}.",))
    return msgspec.json.decode(answer, type=InForce)


def _tried(folder: Path) -> InForce:
    in_force = confine(folder, level="best")
    missing = list(in_force.missing)
    if in_force.landlock and _succeeds(partial(os.listdir, "/")):
        missing.append(_NOT_ENFORCED.format("Landlock"))
        in_force = msgspec.structs.replace(in_force, landlock=0)
    if in_force.seccomp and _succeeds(partial(os.getpgid, 0)):
        missing.append(_NOT_ENFORCED.format("Seccomp"))
        in_force = msgspec.structs.replace(in_force, seccomp=False)
    return msgspec.structs.replace(in_force, missing=tuple(missing))


def _succeeds(use: Callable[[], object]) -> bool:
    try:
        use()
    except OSError:
        return False
    return True
