"""A confined process reaches its own folder, and nothing else."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import mmap
import os
import socket
import threading
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

import pytest

from pipeline.process.confinement.syscalls import LANDLOCK_CREATE_RULESET, SECCOMP
from pipeline.process.confinement.trial import try_out
from tests.pipeline.process.confinement.attempts import ATTEMPTS, Target
from tests.pipeline.process.confinement.confined import outcome
from tests.pipeline.process.confinement.lacking import ARCHITECTURE, fail_calls
from tests.pipeline.process.confinement.stopped import STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator


NOT_HERE = {
    "load_program_into_kernel", "make_namespace", "map_executable_memory", "mount_folder", "raise_cpu_limit",
    "raise_limits", "read_keys", "replace_program", "set_up_io_uring", "trace_parent", "read_memory_by_call",
    "write_memory_by_call", "read_memory_of_parent", "read_memory_of_service",
}  # fmt: skip
"""Attempts that fail without the sandbox too, on some machines or for some users, or that would change the machine."""

ENFORCES = try_out(Path(gettempdir()))
pytestmark = pytest.mark.skipif(bool(ENFORCES.missing), reason=" ".join(ENFORCES.missing))


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Listen on TCP and UDP."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        yield tcp, udp


@pytest.fixture
def target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: tuple[socket.socket, socket.socket]
) -> Iterator[Target]:
    """Make everything that a decoder's code must not reach."""
    tcp, udp = listening
    folders = {name: tmp_path / name for name in ("jobs", "jobs/own", "jobs/other", "store", "outside")}
    for folder in folders.values():
        folder.mkdir()
    for file in ("jobs/other/original", "store/derivative.jpg", "queue.db"):
        (tmp_path / file).write_bytes(b"secret")
    with socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as abstract:
        name = f"gallformers-images-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        monkeypatch.chdir(tmp_path)  # a path of a socket has at most 107 bytes
        unix.bind("unix.socket")
        unix.listen()
        yield Target(
            folder=folders["jobs/own"],
            service=os.getpid(),
            other_job=tmp_path / "jobs/other/original",
            queue=tmp_path / "queue.db",
            store=tmp_path / "store/derivative.jpg",
            outside=folders["outside"],
            tcp_port=tcp.getsockname()[1],
            udp_port=udp.getsockname()[1],
            unix_socket=Path("unix.socket"),
            abstract_socket=name,
        )


def test_every_attempt_has_a_line_that_stops_it() -> None:
    assert set(STOPPED) == set(ATTEMPTS)


def test_every_attempt_is_stopped_by_its_line(target: Target) -> None:
    ended = {name: outcome(partial(attempt, target), target.folder) for name, attempt in ATTEMPTS.items()}
    assert {name: (end, STOPPED[name][1]) for name, end in ended.items()} == STOPPED
    assert target.store.read_bytes() == b"secret"
    assert not list(target.outside.iterdir())


def test_attempts_succeed_without_the_sandbox(target: Target) -> None:
    for name in sorted(set(ATTEMPTS) - NOT_HERE):
        target.store.write_bytes(b"secret")
        assert outcome(partial(ATTEMPTS[name], target), target.folder, level="off") == "None", name


def test_its_own_folder_is_readable_and_writable(target: Target) -> None:
    def work() -> str:
        (target.folder / "a").write_bytes(b"picture")
        (target.folder / "a").rename(target.folder / "b")
        (target.folder / "a").write_bytes(b"")
        (target.folder / "a").unlink()
        return " ".join([(target.folder / "b").read_text(), *[path.name for path in target.folder.iterdir()]])

    assert outcome(work, target.folder) == "picture b"


def test_threads_start(target: Target) -> None:
    def work() -> str:
        done: list[str] = []
        thread = threading.Thread(target=done.append, args=("by a thread",))
        thread.start()
        thread.join()
        return done[0]

    assert outcome(work, target.folder) == "by a thread"


def test_an_abort_is_an_abort(target: Target) -> None:
    assert outcome(os.abort, target.folder, prepare=faulthandler.disable) == "SIGABRT"


@pytest.mark.skipif(ARCHITECTURE != "x86_64", reason="only x86-64 has an entry for calls of 32 bits")
def test_a_call_by_the_entry_of_32_bits_kills(target: Target) -> None:
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid of i386); int 0x80; ret
    getpid = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    assert outcome(getpid, target.folder) == "SIGSYS"


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (LANDLOCK_CREATE_RULESET, errno.ENOSYS, "Landlock is not in force: this kernel does not have it (ENOSYS)."),
        (LANDLOCK_CREATE_RULESET, errno.EOPNOTSUPP, "Landlock is not in force: it is disabled in this kernel"),
        (LANDLOCK_CREATE_RULESET, errno.EPERM, "Landlock is not in force: it is forbidden here, perhaps by the"),
        (SECCOMP[ARCHITECTURE], errno.ENOSYS, "Seccomp is not in force: this kernel does not have it (ENOSYS)."),
        (SECCOMP[ARCHITECTURE], errno.EINVAL, "Seccomp is not in force: this kernel does not have it (EINVAL)."),
    ],
)
def test_a_kernel_that_lacks_a_part_is_reported_and_refused_if_it_is_required(
    number: int, code: int, said: str, tmp_path: Path
) -> None:
    def lacking() -> None:
        fail_calls(number, code)

    def found() -> str:
        lacking()
        return repr(try_out(tmp_path))

    landlock = 0 if number == LANDLOCK_CREATE_RULESET else ENFORCES.landlock
    parts = f"landlock={landlock}, seccomp={number == LANDLOCK_CREATE_RULESET}"
    assert f"{parts}, missing=('{said}" in outcome(found, tmp_path, level="off")
    assert outcome(lambda: "runs", tmp_path, prepare=lacking) == "runs"
    assert outcome(lambda: "runs", tmp_path, prepare=lacking, level="require").startswith(f"SandboxUnavailable: {said}")
