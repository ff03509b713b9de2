"""Tests of memory usage and limits, as the kernel reports them."""

from __future__ import annotations

import math
import subprocess
from typing import TYPE_CHECKING

import pytest

from proxy.system import cgroups
from proxy.system.cgroups import MemoryUsage
from tests.held import resident_bytes

if TYPE_CHECKING:
    from pathlib import Path

MEBIBYTE = 1 << 20


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 1024 kB\nMemFree: 10 kB\nMemAvailable: 256 kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_a_control_group_it_is_the_machines(tmp_path: Path) -> None:
    assert cgroups.memory_usage(write(tmp_path, {})) == MemoryUsage(used=768 * 1024, limit=MEBIBYTE)


@pytest.mark.parametrize(
    "files",
    [
        {
            "proc/self/cgroup": "0::/images.slice/one.scope\n",
            "sys/fs/cgroup/images.slice/memory.max": "524288\n",
            "sys/fs/cgroup/images.slice/memory.current": "300000\n",
            "sys/fs/cgroup/images.slice/memory.stat": "anon 200000\ninactive_file 100000\n",
            "sys/fs/cgroup/images.slice/one.scope/memory.max": "max\n",
            "sys/fs/cgroup/images.slice/one.scope/memory.current": "1\n",
        },
        {
            "proc/self/cgroup": "9:name=systemd:/\n4:memory:/images\n1:cpu,cpuacct:/images\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "900000\n",
            "sys/fs/cgroup/memory/images/memory.limit_in_bytes": "524288\n",
            "sys/fs/cgroup/memory/images/memory.usage_in_bytes": "300000\n",
            "sys/fs/cgroup/memory/images/memory.stat": "inactive_file 5\ntotal_inactive_file 100000\n",
        },
        {
            "proc/self/cgroup": "0::/as/the/host/sees/it\n",
            "sys/fs/cgroup/memory.max": "524288\n",
            "sys/fs/cgroup/memory.current": "300000\n",
            "sys/fs/cgroup/memory.stat": "inactive_file 100000\n",
        },
        {
            "proc/self/cgroup": "0::/images.slice/größe.scope\n",
            "sys/fs/cgroup/images.slice/memory.max": "524288\n",
            "sys/fs/cgroup/images.slice/memory.current": "200000\n",
            "sys/fs/cgroup/images.slice/größe.scope/memory.max": "400000\n",
            "sys/fs/cgroup/images.slice/größe.scope/memory.current": "1000\n",
        },
    ],
    ids=["version 2", "version 1", "in a container", "a smaller one with more room"],
)
def test_the_control_group_with_the_least_room_counts(tmp_path: Path, files: dict[str, str]) -> None:
    assert cgroups.memory_usage(write(tmp_path, files)) == MemoryUsage(used=200_000, limit=524_288)


def test_where_the_kernel_tells_nothing_it_is_no_number(tmp_path: Path) -> None:
    told = cgroups.memory_usage(tmp_path)
    assert math.isnan(told.used)
    assert math.isnan(told.limit)


def test_here_it_is_plausible() -> None:
    told = cgroups.memory_usage()
    assert MEBIBYTE < told.used < told.limit
    assert cgroups.own_bytes() == pytest.approx(resident_bytes(), rel=0.1)


def test_processes_that_this_one_started_are_its_render_processes() -> None:
    before = cgroups.render_bytes()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(b"started")
            assert child.stdout.read(7) == b"started"  # it is loaded, so its memory stays the same
            assert cgroups.render_bytes() - before == pytest.approx(resident_bytes(child.pid), rel=0.5)
        finally:
            child.kill()
    assert cgroups.render_bytes() == before
