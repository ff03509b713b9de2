"""The secrets of a running service are closed to other processes of its own user."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import httpx
import pytest

from loadtest.servers.service import Service, started
from tests.end_to_end.senders import metric

if TYPE_CHECKING:
    from collections.abc import Iterator

READ = """
import sys
for path in sys.argv[1:]:
    try:
        open(path, "rb").read(0)
    except OSError as fault:
        print(path, fault.errno)
"""


def as_ordinary_user() -> tuple[str, ...]:
    """Return the prefix of a command that runs it as an ordinary user.

    The user may read all files, because Python may lie in root's home. That opens no other process.
    """
    if os.geteuid() != 0:
        return ()
    nobody = pwd.getpwnam("nobody")
    caps = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
    return ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *caps)


@pytest.fixture(params=["serve", "worker"])
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    command: Literal["serve", "worker"] = request.param
    service = Service(folder=tmp_path / "own", command=command, entry=as_ordinary_user())
    service.scratch.mkdir(parents=True)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for folder in (service.folder, service.scratch):
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    with started(service):
        yield service


def unreadable(*paths: str) -> set[str]:
    """Return those of the paths that the user of the service cannot read."""
    command = [*as_ordinary_user(), sys.executable, "-c", READ, *paths]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in told.splitlines()}


@pytest.mark.needs("setpriv", "util-linux")
def test_its_user_reads_neither_environment_nor_memory_and_all_else_works(service: Service) -> None:
    assert service.process is not None
    closed = {f"/proc/{service.process.pid}/{name}" for name in ("environ", "mem")}
    children = service.children()
    assert children
    assert unreadable(*closed, *(f"/proc/{pid}/environ" for pid in children)) == closed
    assert {Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid in children} == {"1000"}
    page = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics").text
    resident = {line.split()[0]: float(line.split()[1]) for line in page.splitlines() if line.startswith("resident_")}
    assert set(resident) == {'resident_bytes{kind="web"}', 'resident_bytes{kind="render"}'}
    assert min(resident.values()) > 10_000_000
    assert metric(service, "process_open_fds") > 5
    assert metric(service, "memory_used_bytes") > 0
