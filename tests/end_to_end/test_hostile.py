"""Broken and malicious originals, asked of the real service: each is answered, and it stays as it was."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from loadtest.servers.service import Service, running
from tests.held import resident_bytes
from tests.pipeline.rendering import CORPUS, needs_corpus
from tests.thorough import IN_CI
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_SECONDS = 90
CALLERS = 2
GROWN_BYTES = 5 << 20
"""What the service itself may hold more after all of them under other keys: the first time fills its caches."""

SERVED_OR_REFUSED = {302, 413, 422}

pytestmark = pytest.mark.timeout(600)


def ask(client: httpx.Client, service: Service, path: Path, number: int) -> int:
    key = f"hostile/{number}_original{path.suffix}"
    service.put(key, path)
    return client.get(f"/img/{quote(key)}/small").status_code


def addresses_open(pid: int) -> set[str]:
    """Name the sockets of a process that lead out of the machine, or could."""
    sockets = set()
    with suppress(FileNotFoundError):  # the process, or the file, is gone by now
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                sockets |= set(re.findall(r"socket:\[(\d+)\]", str(descriptor.readlink())))
    tables = [Path(f"/proc/self/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6")]
    known = {line.split()[9] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]}
    return sockets & known


@needs_corpus
def test_no_hostile_file_takes_the_service_down_fills_its_disk_or_makes_it_grow(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with (
        running(tmp_path / "service", RENDER_TIMEOUT_SECONDS=str(DEADLINE_SECONDS)) as service,
        httpx.Client(base_url=service.url, timeout=3 * DEADLINE_SECONDS) as client,
        ThreadPoolExecutor(CALLERS) as callers,
    ):
        assert service.process is not None
        files = sorted(CORPUS.glob("hostile/*"))[:: 1 if IN_CI else 4]
        first = list(callers.map(partial(ask, client, service), files, count()))
        before = resident_bytes(service.process.pid)
        statuses = list(callers.map(partial(ask, client, service), files, count(len(files))))
        assert statuses == first
        assert {path.name: status for path, status in zip(files, statuses, strict=True) if status >= 500} == {}
        assert set(statuses) <= SERVED_OR_REFUSED
        assert [addresses_open(pid) for pid in service.children()] == [set() for _ in service.children()]
        grown = resident_bytes(service.process.pid) - before
        assert grown < GROWN_BYTES

        async def nothing_is_left() -> bool:  # other sizes are made behind the one that was asked for
            return not [path for path in service.scratch.rglob("original*") if path.is_file()]

        asyncio.run(until(nothing_is_left))
        assert client.get("/readyz").is_success
    record_property("counts", f"files {len(files)}, served {statuses.count(302)}, grown {grown >> 10} KiB")
