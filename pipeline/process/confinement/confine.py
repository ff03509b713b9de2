"""The policy of a render process, put in force before it reads the first byte of an original."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from pipeline.process.confinement import kernel
from pipeline.process.confinement.landlock import restrict_to
from pipeline.process.confinement.seccomp import filter_calls
from pipeline.protocol import InForce

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pipeline.protocol import SandboxLevel

_REASONS: Final = {
    errno.ENOSYS: "this kernel does not have it",
    errno.EINVAL: "this kernel does not have it",
    errno.EOPNOTSUPP: "it is disabled in this kernel",
    errno.EPERM: "it is forbidden here, perhaps by the container",
    errno.E2BIG: "too many rules are already in force",
}


class SandboxUnavailable(Exception):
    """The kernel lacks a part of the sandbox that is required."""


def confine(folder: Path, *, level: SandboxLevel, reads: Collection[Path] = ()) -> InForce:
    """Confine this process to the plain files below `folder` and to what decoding needs; return what is in force.

    It may also read the files `reads`, and libraries make their temporary files in `folder`. This lasts for the rest of
    its life. Call it while the process has one thread and has opened nothing of the original. Descriptors that are open
    already stay usable, but no module can be imported any more. With the level "off", nothing happens.

    Raises:
        SandboxUnavailable: `level` is "require", and the kernel does not enforce all of it.
        OSError: there is no such folder or file.
    """
    if level == "off":
        return InForce()
    os.environ["TMPDIR"] = str(folder)  # for libvips, which writes images that are too large for its memory to disk
    abi, has_filter, missing = 0, False, []
    kernel.forbid_new_privileges()
    try:
        abi = restrict_to(folder, reads=reads)
    except OSError as fault:
        missing.append(_sentence("Landlock", fault))
    try:
        filter_calls()
        has_filter = True
    except OSError as fault:
        missing.append(_sentence("Seccomp", fault))
    if level == "require" and missing:
        raise SandboxUnavailable(" ".join(missing))
    return InForce(landlock=abi, seccomp=has_filter, missing=tuple(missing))


def _sentence(part: str, fault: OSError) -> str:
    reason = _REASONS.get(fault.errno or 0)
    if reason is None:  # not for want of the part
        raise fault
    return f"{part} is not in force: {reason} ({errno.errorcode[fault.errno or 0]})."
