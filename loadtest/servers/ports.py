"""Loopback ports that no other program on this machine gets, however many clones are tested at once."""

from __future__ import annotations

import fcntl
import os
import random
import socket
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

LOCKS = Path("/tmp/gallformers-images-ports")  # noqa: S108 - one for all clones and users, whatever their TMPDIR
"""A file with a byte for each port, which is locked by the process that has the port. A process that ends, however it
ends, leaves its locks to others."""

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""From where to where the kernel gives ports to outgoing connections: those can be taken at any moment."""

FIRST, LAST = 10_000, 65_535
ATTEMPTS = 1000

_taken: set[int] = set()
"""Ports of this process: a lock does not keep out the process that holds it."""


def free_port() -> int:
    """Take a port until this process ends, and return it.

    Raises:
        RuntimeError: none was found.
    """
    (port,) = free_ports((0,))
    return port


def free_ports(offsets: tuple[int, ...]) -> list[int]:
    """Take ports that lie at these distances from the first of them, until this process ends, and return them.

    Raises:
        RuntimeError: none were found.
    """
    low, high = _ephemeral()
    for _ in range(ATTEMPTS):
        first = random.randint(FIRST, LAST)  # noqa: S311 - a place to try, no secret
        ports = [first + offset for offset in offsets]
        if all(port <= LAST and not low <= port <= high for port in ports) and _take(ports):
            return ports
    raise RuntimeError(f"no ports are free between {FIRST} and {LAST}, outside of {low} to {high}")


def _take(ports: list[int]) -> bool:
    with ExitStack() as undo:
        for port in ports:
            if not _lock(port):
                return False
            undo.callback(_unlock, port)
        if not _nobody_listens(ports):
            return False
        undo.pop_all()
    return True


def _lock(port: int) -> bool:
    if port in _taken:
        return False
    with suppress(BlockingIOError, PermissionError):
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        _taken.add(port)
        return True
    return False


def _unlock(port: int) -> None:
    fcntl.lockf(_locks(), fcntl.LOCK_UN, 1, port)
    _taken.discard(port)


def _nobody_listens(ports: list[int]) -> bool:
    """Return whether all are free of programs that know nothing of the locks."""
    try:
        with ExitStack() as held:
            for port in ports:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
    except OSError:
        return False
    return True


@cache
def _locks() -> int:
    """Open the file once: closing any descriptor of it would release all locks of this process."""
    with suppress(FileNotFoundError):
        return os.open(LOCKS, os.O_RDWR | os.O_NOFOLLOW)
    descriptor = os.open(LOCKS, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with suppress(PermissionError):  # another user was first, and has done so
        LOCKS.chmod(0o666)
    return descriptor


@cache
def _ephemeral() -> tuple[int, int]:
    try:
        low, high = EPHEMERAL.read_text(encoding="ascii").split()
    except OSError:  # not Linux; the range that IANA reserves
        return 49_152, 65_535
    return int(low), int(high)
