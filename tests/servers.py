"""Servers that keep jobs, on free ports of loopback; each may be killed and started again on what it had."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.servers.ports import free_port

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator


@dataclass
class RedisServer:
    """A Redis that keeps what it was told."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    numbers: Iterator[int] = field(default_factory=count)
    certificate: Path | None = None
    """With its key beside it; then it speaks TLS alone."""

    def start(self) -> None:
        settings = {"bind": "127.0.0.1", "save": "", "appendonly": "yes", "databases": "1000", **self._way_in()}
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen(
            [program("redis-server"), *words], cwd=self.folder, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert any("Ready to accept connections" in line for line in self.process.stdout)

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def demand_password(self, password: str) -> None:
        """Have it ask for a password, until it ends."""
        _run(program("redis-cli"), "-p", str(self.port), "config", "set", "requirepass", password)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def make_database(self) -> str:
        """Give the address of one that is empty: SAQ's marks of aborted keys are one set for a whole database."""
        scheme = "rediss" if self.certificate else "redis"
        return f"{scheme}://127.0.0.1:{self.port}/{next(self.numbers)}"

    def _way_in(self) -> dict[str, str]:
        if self.certificate is None:
            return {"port": str(self.port)}
        files = {"tls-cert-file": str(self.certificate), "tls-key-file": str(self.certificate.with_suffix(".key"))}
        return {"port": "0", "tls-port": str(self.port), "tls-auth-clients": "no", **files}


@dataclass
class PostgresServer:
    """A PostgreSQL, which takes no root: as root it runs as nobody."""

    folder: Path
    port: int = field(default_factory=free_port)
    numbers: Iterator[int] = field(default_factory=count)

    def prepare(self) -> None:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        _run(*_user(), program("initdb"), "-D", str(self.cluster), "-U", "images", "--auth", "trust", "--no-sync")

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._control("-o", options, "start")

    def kill(self) -> None:
        self._control("-m", "immediate", "stop")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of it: each connection has one of its own."""
        keeper = int((self.cluster / "postmaster.pid").read_text().split()[0])
        for pid in (keeper, *_children(keeper)):
            with suppress(ProcessLookupError):  # a connection may have been closed meanwhile
                os.kill(pid, number)

    def make_database(self) -> str:
        """Give the address of one that is empty: SAQ's keys and its locks are one set for a whole database."""
        name = f"queue_{next(self.numbers)}"
        _run(program("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "images", name)
        return f"postgresql://images@127.0.0.1:{self.port}/{name}"

    def _control(self, *words: str) -> None:
        _run(*_user(), program("pg_ctl"), "-D", str(self.cluster), "-w", "-l", str(self.folder / "log"), *words)


@contextmanager
def running_redis(*, certificate: Path | None = None) -> Iterator[RedisServer]:
    """Run a Redis of one's own."""
    with _folder() as folder:
        server = RedisServer(folder, certificate=certificate)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL of one's own."""
    with _folder() as folder:
        server = PostgresServer(folder)
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.kill()


def find_program(name: str) -> str | None:
    """Find a program on PATH or where Debian keeps the servers of PostgreSQL."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next(filter(None, (shutil.which(name, path=folder) for folder in (None, *map(str, versions)))), None)


def program(name: str) -> str:
    """Find a program that a marker of the test said it needs."""
    path = find_program(name)
    assert path is not None
    return path


def _user() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    nobody = pwd.getpwnam("nobody")
    return (program("setpriv"), f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")


def _children(keeper: int) -> list[int]:
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if (fields := _fields(path)) and int(fields[1]) == keeper
    ]


def _fields(stat: Path) -> list[str]:
    """Give what stands behind a process's name, which may have any character: its state, its parent and so on."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return []


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def _folder() -> Iterator[Path]:
    """Lend a folder that another user can be let into; pytest's own are closed to all others."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
