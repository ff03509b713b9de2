"""What code that runs in a decoder's place may try: one function an attempt, each an error unless it succeeds.

This module needs nothing but the standard library, so that tests can plant it next to a render process.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
IS_X86 = os.uname().machine == "x86_64"

PTRACE_SEIZE = 0x4206
PTRACE, PROCESS_VM_READV, PROCESS_VM_WRITEV, TGKILL = (101, 310, 311, 234) if IS_X86 else (117, 270, 271, 131)
UNSHARE, BPF, KEYCTL, MOUNT = (272, 321, 250, 165) if IS_X86 else (97, 280, 219, 40)
IO_URING_SETUP, PIDFD_OPEN, CLONE3 = 425, 434, 435
NEW_USER = 0x10000000

MARK = b"ATTEMPT "
"""How an original begins that orders an attempt; the rest is JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the attempts aim at; `folder` is their own, in which they may do what they like."""

    folder: Path
    service: int
    """The process that holds the secrets."""
    other_job: Path
    """A file of another job."""
    queue: Path
    store: Path
    """A file in the store."""
    outside: Path
    """A folder in which the user may create files."""
    tcp_port: int
    udp_port: int
    unix_socket: Path
    abstract_socket: str


ATTEMPTS: dict[str, Callable[[Target], None]] = {}
"""Every attempt, by its name."""


def attempt(use: Callable[[Target], None]) -> Callable[[Target], None]:
    """List an attempt."""
    ATTEMPTS[use.__name__] = use
    return use


def call(number: int, *arguments: object) -> int:
    """Make a system call, or raise its error."""
    result: int = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "system call")
    return result


@attempt
def read_environment_of_parent(_: Target) -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


@attempt
def read_memory_of_parent(_: Target) -> None:
    Path(f"/proc/{os.getppid()}/mem").open("rb").close()


@attempt
def read_environment_of_service(target: Target) -> None:
    Path(f"/proc/{target.service}/environ").read_bytes()


@attempt
def read_memory_of_service(target: Target) -> None:
    Path(f"/proc/{target.service}/mem").open("rb").close()


@attempt
def list_processes(_: Target) -> None:
    list(Path("/proc").iterdir())


@attempt
def trace_parent(_: Target) -> None:
    call(PTRACE, PTRACE_SEIZE, os.getppid(), 0, 0)


@attempt
def read_memory_by_call(_: Target) -> None:
    _move_memory(PROCESS_VM_READV)


@attempt
def write_memory_by_call(_: Target) -> None:
    _move_memory(PROCESS_VM_WRITEV)


def _move_memory(number: int) -> None:
    """Move bytes of the parent: the C library lies at the same address in a process and in its fork."""
    address = ctypes.cast(LIBC.getpid, ctypes.c_void_p).value
    buffer = ctypes.create_string_buffer(8)
    here, there = struct.pack("PN", ctypes.addressof(buffer), 8), struct.pack("PN", address, 8)
    call(number, os.getppid(), here, 1, there, 1, 0)


@attempt
def signal_parent(_: Target) -> None:
    os.kill(os.getppid(), signal.SIGURG)  # ignored by default


@attempt
def signal_thread_of_parent(_: Target) -> None:
    call(TGKILL, os.getppid(), os.getppid(), int(signal.SIGURG))


@attempt
def signal_parent_by_descriptor(target: Target) -> None:
    with _own_file(target).open("rb") as file:
        fcntl.fcntl(file, fcntl.F_SETOWN, os.getppid())


@attempt
def open_process(_: Target) -> None:
    call(PIDFD_OPEN, os.getppid(), 0)


@attempt
def read_queue(target: Target) -> None:
    target.queue.read_bytes()


@attempt
def read_passwords(_: Target) -> None:
    Path("/etc/passwd").read_bytes()


@attempt
def read_other_job(target: Target) -> None:
    target.other_job.read_bytes()


@attempt
def list_other_jobs(target: Target) -> None:
    list(target.folder.parent.iterdir())


@attempt
def read_store(target: Target) -> None:
    target.store.read_bytes()


@attempt
def overwrite_derivative(target: Target) -> None:
    target.store.write_bytes(b"defaced")


@attempt
def remove_derivative(target: Target) -> None:
    target.store.unlink()


@attempt
def truncate_derivative(target: Target) -> None:
    os.truncate(target.store, 0)


@attempt
def write_outside(target: Target) -> None:
    (target.outside / "written").write_bytes(b"")


@attempt
def move_outside(target: Target) -> None:
    _own_file(target).rename(target.outside / "moved")


@attempt
def link_outside(target: Target) -> None:
    os.link(_own_file(target), target.outside / "linked")


@attempt
def link_from_outside(target: Target) -> None:
    os.link(target.store, target.folder / "linked")


@attempt
def plant_symbolic_link(target: Target) -> None:
    (target.folder / "symbolic").symlink_to("/etc/passwd")


@attempt
def plant_named_pipe(target: Target) -> None:
    os.mkfifo(target.folder / "pipe")


@attempt
def connect_by_tcp(target: Target) -> None:
    with socket.socket(socket.AF_INET) as tcp:
        tcp.connect(("127.0.0.1", target.tcp_port))


@attempt
def send_by_udp(target: Target) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"secret", ("127.0.0.1", target.udp_port))


@attempt
def connect_to_unix_socket(target: Target) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect(str(target.unix_socket))


@attempt
def connect_to_abstract_socket(target: Target) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect(f"\0{target.abstract_socket}")


@attempt
def make_socket_pair(_: Target) -> None:
    socket.socketpair()


@attempt
def set_up_io_uring(_: Target) -> None:
    call(IO_URING_SETUP, 4, ctypes.create_string_buffer(120))


@attempt
def load_program_into_kernel(_: Target) -> None:
    call(BPF, 0, ctypes.create_string_buffer(128), 128)


@attempt
def read_keys(_: Target) -> None:
    call(KEYCTL, 0, -3, 0)


@attempt
def make_namespace(_: Target) -> None:
    call(UNSHARE, NEW_USER)


@attempt
def mount_folder(target: Target) -> None:
    call(MOUNT, b"/", os.fsencode(target.folder), None, 4096, None)


@attempt
def make_file_in_memory(_: Target) -> None:
    os.memfd_create("program")


@attempt
def map_executable_memory(_: Target) -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


@attempt
def fork(_: Target) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attempt
def fork_by_clone3(_: Target) -> None:
    pid = call(CLONE3, struct.pack("11Q", 0, 0, 0, 0, int(signal.SIGCHLD), 0, 0, 0, 0, 0, 0), 88)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attempt
def start_program(_: Target) -> None:
    os.posix_spawn(sys.executable, [sys.executable, "-V"], {})


@attempt
def replace_program(_: Target) -> None:
    os.execv(sys.executable, [sys.executable, "-c", ""])  # noqa: S606 - the attempt


@attempt
def set_user_id_bit(target: Target) -> None:
    _own_file(target).chmod(0o4755)


@attempt
def raise_limits(_: Target) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@attempt
def raise_cpu_limit(_: Target) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@attempt
def leave_process_group(_: Target) -> None:
    os.setpgid(0, 0)


@attempt
def become_inspectable(_: Target) -> None:
    result = LIBC.prctl(4, 1, 0, 0, 0)
    if result < 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _own_file(target: Target) -> Path:
    path = target.folder / "plain"
    path.write_bytes(b"own")
    return path


def ended(use: Callable[[], object]) -> str:
    """Return what `use` returns, or the name of its error."""
    try:
        return str(use())
    except OSError as fault:
        return errno.errorcode[fault.errno or 0]
    except Exception as fault:  # noqa: BLE001 - the test compares it
        return f"{type(fault).__name__}: {fault}"


def attack(original: Path) -> None:
    """Make the attempt that an original names, and write to standard error how it begins and ends."""
    content = original.read_bytes()
    if not content.startswith(MARK):
        return
    order = json.loads(content.removeprefix(MARK))
    target = Target(
        folder=Path(os.environ["TMPDIR"]),  # set by the sandbox
        service=order["service"],
        other_job=Path(order["other_job"]),
        queue=Path(order["queue"]),
        store=Path(order["store"]),
        outside=Path(order["outside"]),
        tcp_port=order["tcp_port"],
        udp_port=order["udp_port"],
        unix_socket=Path(order["unix_socket"]),
        abstract_socket=order["abstract_socket"],
    )
    name = order["attempt"]
    os.write(2, f"attempt {name} begins\n".encode())
    told = ended(partial(ATTEMPTS[name], target))
    os.write(2, f"attempt {name} ends: {told}\n".encode())
