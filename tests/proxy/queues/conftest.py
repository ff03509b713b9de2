"""Servers for the queues that need one, on free ports of loopback, gone with their folders after the tests."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from proxy.queues.open import open_queue
from tests.conftest import find_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from saq import Queue

    Another: TypeAlias = Callable[[], Awaitable[Queue]]

pytest.register_assert_rewrite("tests.proxy.queues.asking")


@pytest.fixture(
    params=[
        "make_sqlite_database",
        pytest.param("make_redis_database", marks=pytest.mark.needs("redis-server", "redis-server")),
        pytest.param("make_postgres_database", marks=pytest.mark.needs("postgres", "postgresql")),
    ],
    ids=["sqlite", "redis", "postgres"],
)
def make_queue(request: pytest.FixtureRequest) -> Callable[[], Queue]:
    """Make queues on the same jobs, on every backend in turn; a module may have its own."""
    make: Callable[[], str] = request.getfixturevalue(request.param)
    url = make()
    return lambda: open_queue(url, name="images")


@pytest.fixture
async def another(make_queue: Callable[[], Queue]) -> AsyncIterator[Another]:
    """Open one more queue on the same jobs, as another process would."""
    async with AsyncExitStack() as opened:

        async def open_one() -> Queue:
            queue = make_queue()
            await queue.connect()
            opened.push_async_callback(queue.disconnect)
            return queue

        yield open_one


@pytest.fixture
async def queue(another: Another) -> Queue:
    return await another()


@pytest.fixture
def make_sqlite_database(tmp_path: Path) -> Callable[[], str]:
    return lambda: f"sqlite:///{tmp_path / 'queue.db'}"


@pytest.fixture(scope="session")
def make_redis_database() -> Iterator[Callable[[], str]]:
    """Number databases in a Redis: SAQ's marks of aborted keys are one set for a whole database."""
    port = _free_port()
    settings = {"bind": "127.0.0.1", "port": str(port), "save": "", "appendonly": "no", "databases": "1000"}
    command = (_program("redis-server"), *(word for name, value in settings.items() for word in (f"--{name}", value)))
    numbers = itertools.count()
    with _folder() as folder, subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any("Ready to accept connections" in line for line in server.stdout)
        yield lambda: f"redis://127.0.0.1:{port}/{next(numbers)}"
        server.terminate()


@pytest.fixture(scope="session")
def make_postgres_database() -> Iterator[Callable[[], str]]:
    """Make databases in a PostgreSQL: SAQ's keys and its locks are one set for a whole database."""
    port = _free_port()
    with _folder() as folder:
        user = _drop_root(folder)
        cluster = folder / "cluster"
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = (*user, _program("pg_ctl"), "-D", str(cluster), "-w", "-l", str(folder / "log"))
        _run(*user, _program("initdb"), "-D", str(cluster), "-U", "images", "--auth", "trust", "--no-sync")
        _run(*control, "-o", options, "start")

        def make() -> str:
            name = f"queue_{uuid.uuid4().hex}"
            _run(_program("createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "images", name)
            return f"postgresql://images@127.0.0.1:{port}/{name}"

        try:
            yield make
        finally:
            _run(*control, "-m", "immediate", "stop")


def _drop_root(folder: Path) -> tuple[str, ...]:
    """PostgreSQL refuses to run as root: give the folder to nobody, and the words that run a program as nobody."""
    if os.geteuid() != 0:
        return ()
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return (_program("setpriv"), f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


def _program(name: str) -> str:
    path = find_program(name)
    assert path is not None
    return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that another user can be let into; pytest's own are closed to all others."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
