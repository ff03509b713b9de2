"""Code of an original that runs in a decoder reaches nothing: tried in a running service, as an ordinary user."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import socket
import stat
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.servers.service import Service, started
from pipeline.process.confinement.trial import try_out
from tests.end_to_end.logged import lines
from tests.pipeline.process.confinement import attempts
from tests.pipeline.process.confinement.attempts import ATTEMPTS, MARK
from tests.pipeline.process.confinement.stopped import STOPPED
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PLANTED = """

from attempts import attack as _attack

_open_original = open_original


def open_original(path, **options):
    _attack(path)
    return _open_original(path, **options)
"""
"""What is appended to the copy of `pipeline.decode.original`: code that an original has smuggled into the decoder."""

SECRET_BYTES = b"secret"
ENFORCES = try_out(Path(tempfile.gettempdir()))
pytestmark = pytest.mark.skipif(bool(ENFORCES.missing), reason=" ".join(ENFORCES.missing))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """A service whose decoder makes attempts, and what it must not reach."""

    service: Service
    order: dict[str, object]
    tcp: socket.socket
    udp: socket.socket

    def attempt(self, name: str) -> None:
        """Request a page view of an original that makes the attempt."""
        key = f"gall/1/{name}_original.jpg"
        order = {**self.order, "attempt": name}
        (self.service.store / key).write_bytes(MARK + json.dumps(order).encode())
        assert not httpx.get(f"{self.service.url}/img/{key}/small", timeout=30).is_success


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Make a folder that any user can read: root's home and pytest's folders are closed to others."""
    with tempfile.TemporaryDirectory(prefix="attacked-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def attacked(place: Path) -> Iterator[Attacked]:
    """Start a service with a planted decoder, as an ordinary user."""
    project, own = place / "project", place / "own"
    for package in ("pipeline", "proxy", "config"):
        shutil.copytree(ROOT / package, project / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(attempts.__file__, project / "attempts.py")
    with (project / "pipeline" / "decode" / "original.py").open("a", encoding="utf-8") as module:
        module.write(PLANTED)
    service = Service(folder=own, entry=_entry(place), settings={"WORKERS": "1", "SANDBOX": "require"})
    for folder in ("store/gall/1", "scratch/other", "outside"):
        (own / folder).mkdir(parents=True)
    for file in ("store/gall/1/1_small.jpg", "scratch/other/original"):
        (own / file).write_bytes(SECRET_BYTES)
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        unix, abstract = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        unix.bind(str(own / "unix"))
        unix.listen()
        abstract.bind(f"\0{place.name}")
        abstract.listen()
        for listening in (tcp, udp):
            listening.settimeout(0)
        _give_to_ordinary_user(own)
        stack.enter_context(started(service))
        assert service.process
        order: dict[str, object] = {
            "service": service.process.pid,
            "other_job": str(own / "scratch/other/original"),
            "queue": str(own / "queue.db"),
            "store": str(own / "store/gall/1/1_small.jpg"),
            "outside": str(own / "outside"),
            "tcp_port": tcp.getsockname()[1],
            "udp_port": udp.getsockname()[1],
            "unix_socket": str(own / "unix"),
            "abstract_socket": place.name,
        }
        yield Attacked(service=service, order=order, tcp=tcp, udp=udp)


def _entry(place: Path) -> tuple[str, ...]:
    """Return the prefix of a command that runs it as an ordinary user, in the copy of the project.

    Root lends its interpreter and packages to the command alone, by mounts that no other process sees.
    """
    enter = f"cd {place}/project"
    if os.geteuid() != 0:
        return ("sh", "-c", f'{enter} && exec "$@"', "sh")
    nobody = pwd.getpwnam("nobody")
    drop = f"setpriv --reuid={nobody.pw_uid} --regid={nobody.pw_gid} --clear-groups --inh-caps=-all --bounding-set=-all"
    return ("unshare", "--mount", "sh", "-ec", f'{_lend(place)}\n{enter}\nexec {drop} "$@"', "sh")


def _lend(place: Path) -> str:
    """Return commands that open the interpreter and its packages to all users, where they lie in a closed folder."""
    closed: dict[Path, Path] = {}
    for path in map(Path, (sys.base_prefix, sys.prefix)):
        shut = [one for one in path.parents if not one.stat().st_mode & stat.S_IXOTH]
        if shut:
            closed[path] = shut[-1]
    lines = []
    for number, path in enumerate(closed):
        (place / f"lent-{number}").mkdir()
        lines.append(f"mount --bind {path} {place}/lent-{number}")
    lines += [f"mount -t tmpfs -o mode=755 none {shut}" for shut in {*closed.values()}]
    lines += [f"mkdir -p {path}\nmount --bind {place}/lent-{number} {path}" for number, path in enumerate(closed)]
    return "\n".join(lines)


def _give_to_ordinary_user(folder: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)


@pytest.mark.needs("unshare", "util-linux")
@pytest.mark.needs("setpriv", "util-linux")
def test_every_attempt_is_stopped_and_reaches_nothing(attacked: Attacked) -> None:
    service = attacked.service
    for name in ATTEMPTS:
        attacked.attempt(name)

    async def all_begun() -> bool:
        return len(_told(service, " begins")) >= len(ATTEMPTS)

    asyncio.run(until(all_begun))
    ends = dict(line.split(" ends: ", 1) for line in _told(service, " ends: "))
    ended = {name: ends.get(f"attempt {name}", "SIGSYS") for name in ATTEMPTS}
    assert {name: (end, STOPPED[name][1]) for name, end in ended.items()} == STOPPED
    assert [line for line in lines(service) if "killed by its sandbox" in str(line.get("detail"))]
    assert (service.folder / str(attacked.order["store"])).read_bytes() == SECRET_BYTES
    assert not list((service.folder / "outside").iterdir())
    with pytest.raises(BlockingIOError):
        attacked.tcp.accept()
    with pytest.raises(BlockingIOError):
        attacked.udp.recv(64)
    published = {path.name for path in (service.store / "gall" / "1").iterdir()}
    assert published == {f"{name}_original.jpg" for name in ATTEMPTS} | {"1_small.jpg"}


def _told(service: Service, words: str) -> list[str]:
    texts = [str(line.get("line", "")) for line in lines(service) if line["event"] == "render_process_stderr"]
    return [text for text in texts if words in text]
