"""Ports that no two processes of a machine get."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.servers.ports import EPHEMERAL, LOCKS, free_port, free_ports
from tests.held import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES, PORTS = 8, 100

TAKE = f"""
from loadtest.servers.ports import free_port
print(*(free_port() for _ in range({PORTS})), flush=True)
input()
"""


@contextmanager
def taking() -> Iterator[subprocess.Popen[str]]:
    """Run a process that takes ports, tells them in a line, and keeps them until it is killed."""
    with subprocess.Popen([sys.executable, "-c", TAKE], stdin=-1, stdout=-1, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


def test_processes_that_take_ports_at_once_all_get_others() -> None:
    with ExitStack() as running:
        processes = [running.enter_context(taking()) for _ in range(PROCESSES)]
        ports = [port for process in processes for port in told(process)]
        ports += [free_port() for _ in range(PORTS)]
        assert len(ports) == len(set(ports)) == (PROCESSES + 1) * PORTS


def test_no_outgoing_connection_gets_a_port_by_chance() -> None:
    low, high = map(int, EPHEMERAL.read_text().split())
    assert not [port for port in (free_port() for _ in range(PORTS)) if low <= port <= high]


def test_the_ports_of_a_process_that_was_killed_can_be_locked_again() -> None:
    with taking() as process:
        ports = told(process)
        assert lockable(ports) == []
        process.kill()
        process.wait()
        assert lockable(ports) == ports


def lockable(ports: list[int]) -> list[int]:
    """Ask a process of its own, whose locks end with it."""
    program = f"""
import fcntl
with open({str(LOCKS)!r}, "r+b") as locks:
    for port in {ports}:
        try:
            fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            continue
        print(port)
"""
    return [int(line) for line in subprocess.check_output([sys.executable, "-c", program], text=True).splitlines()]


def test_a_port_on_which_somebody_else_listens_is_left_to_them() -> None:
    first, second = free_ports((0, 1))
    assert second == first + 1
    with socket.create_server(("127.0.0.1", second)):
        listened = {int(line.split()[1].rpartition(":")[2], 16) for line in tcp_table()}
        assert second in listened
        assert not {free_port() for _ in range(PORTS)} & listened


def tcp_table() -> list[str]:
    return Path("/proc/self/net/tcp").read_text().splitlines()[1:]


def test_many_ports_take_one_open_file() -> None:
    free_port()
    before = descriptors()
    for _ in range(PORTS):
        free_port()
    assert descriptors() == before
