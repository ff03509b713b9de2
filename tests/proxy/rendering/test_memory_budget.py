"""The memory and disk budgets of renders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import structlog

from proxy.rendering.memory_budget import LEAST_BUDGET_BYTES, SERVICE_BYTES, render_budget

if TYPE_CHECKING:
    from pathlib import Path

MEBIBYTE = 1 << 20
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

V2 = {"proc/self/cgroup": "0::/pod/service\n"}
V1 = {"proc/self/cgroup": "5:cpu,cpuacct:/pod/service\n4:memory:/pod/service\n0::/\n"}
IN_V2, IN_V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"
UNLIMITED_V1 = "9223372036854771712\n"


def at(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_what_is_set_is_taken(tmp_path: Path) -> None:
    assert render_budget(100, root=tmp_path) == 100 * MEBIBYTE


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(V2 | {f"{IN_V2}/pod/service/memory.max": f"{512 * MEBIBYTE}\n"}, id="v2: its own group"),
        pytest.param(
            V2 | {f"{IN_V2}/pod/service/memory.max": "max\n", f"{IN_V2}/pod/memory.max": f"{512 * MEBIBYTE}\n"},
            id="v2: the group above",
        ),
        pytest.param(V2 | {f"{IN_V2}/memory.max": f"{512 * MEBIBYTE}\n"}, id="v2: a container that sees its own only"),
        pytest.param(
            V2
            | {
                f"{IN_V2}/pod/service/memory.max": f"{1024 * MEBIBYTE}\n",
                f"{IN_V2}/pod/service/memory.high": f"{512 * MEBIBYTE}\n",
            },
            id="v2: where the kernel begins to slow it down",
        ),
        pytest.param(
            V1
            | {
                f"{IN_V1}/memory.limit_in_bytes": UNLIMITED_V1,
                f"{IN_V1}/pod/memory.limit_in_bytes": f"{512 * MEBIBYTE}\n",
                f"{IN_V1}/pod/service/memory.limit_in_bytes": f"{1024 * MEBIBYTE}\n",
            },
            id="v1: the least of all",
        ),
        pytest.param(V1 | {f"{IN_V1}/memory.limit_in_bytes": f"{512 * MEBIBYTE}\n"}, id="v1: a container"),
    ],
)
def test_a_control_group_bounds_it_less_what_the_service_needs(tmp_path: Path, files: dict[str, str]) -> None:
    assert render_budget(0, root=at(tmp_path, files)) == 512 * MEBIBYTE - SERVICE_BYTES


def test_what_else_is_needed_is_left_for_it(tmp_path: Path) -> None:
    small = at(tmp_path, V2 | {f"{IN_V2}/memory.max": f"{512 * MEBIBYTE}\n"})
    assert render_budget(0, beside_bytes=MEBIBYTE, root=small) == 511 * MEBIBYTE - SERVICE_BYTES


@pytest.mark.parametrize(("megabytes", "warnings"), [(512, 1), (300, 0), (0, 0)])
def test_a_budget_above_what_there_is_is_taken_and_warned_of(tmp_path: Path, megabytes: int, warnings: int) -> None:
    small = at(tmp_path, V2 | {f"{IN_V2}/memory.max": f"{512 * MEBIBYTE}\n"})
    with structlog.testing.capture_logs() as lines:
        assert render_budget(megabytes, root=small) >= megabytes * MEBIBYTE
    assert [line["event"] for line in lines] == ["memory_budget_exceeds_memory"] * warnings


@pytest.mark.parametrize("files", [{}, V2, V1 | {f"{IN_V1}/memory.limit_in_bytes": UNLIMITED_V1}])
def test_without_a_limit_the_machine_bounds_it(tmp_path: Path, files: dict[str, str]) -> None:
    assert render_budget(0, root=at(tmp_path, files)) == MACHINE - SERVICE_BYTES


def test_a_machine_too_small_gets_enough_for_a_small_photograph(tmp_path: Path) -> None:
    small = at(tmp_path, V2 | {f"{IN_V2}/memory.max": f"{64 * MEBIBYTE}\n"})
    assert render_budget(0, root=small) == LEAST_BUDGET_BYTES
