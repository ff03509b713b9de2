"""Landlock: the files, connections and signals that this process may still use, by rules that it cannot lift again.

Source: https://docs.kernel.org/userspace-api/landlock.html. Rules bind the calling thread and what it starts later, so
they must be put in force while the process has one thread.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from pipeline.process.confinement import kernel
from pipeline.process.confinement.syscalls import (
    LANDLOCK_ADD_RULE,
    LANDLOCK_CREATE_RULESET,
    LANDLOCK_RESTRICT_SELF,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_ASK_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_REG, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8, 1 << 14

_IN_FOLDER: Final = _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _REMOVE_FILE
"""Rights below the folder: plain files, but no programs, folders, links, pipes, sockets or devices."""

_FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights on files that an ABI knows; each later ABI knows those of the one before it."""

_ABI_WITH_TCP, _ALL_TCP = 4, 3
"""To bind and to connect."""

_ABI_WITH_SCOPES, _ALL_SCOPES = 6, 3
"""Abstract UNIX sockets of, and signals to, processes outside."""


def restrict_to(folder: Path, *, reads: Collection[Path] = ()) -> int:
    """Restrict this process to the files below `folder` and the files `reads`; return the ABI version.

    TCP, and signals to other processes, are denied too: TCP from ABI 4 of the kernel on, signals from ABI 6 on.

    Raises:
        OSError: Landlock is missing (ENOSYS), disabled (EOPNOTSUPP) or forbidden (EPERM), or there is no such file.
    """
    abi = kernel.call(LANDLOCK_CREATE_RULESET, None, 0, _ASK_VERSION)
    rights = _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= abi)]
    handled = [rights, _ALL_TCP, _ALL_SCOPES][: 1 + (abi >= _ABI_WITH_TCP) + (abi >= _ABI_WITH_SCOPES)]
    attributes = struct.pack(f"{len(handled)}Q", *handled)
    ruleset = kernel.call(LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _allow(ruleset, folder, _IN_FOLDER & rights)
        for path in reads:
            if path.is_dir():  # the rule would open all that is in it
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            _allow(ruleset, path, _READ_FILE)
        kernel.call(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def _allow(ruleset: int, path: Path, rights: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        kernel.call(LANDLOCK_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)
