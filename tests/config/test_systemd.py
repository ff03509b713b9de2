"""The unit for systemd: it is valid, it is tight, and the service works under it, its sandbox included."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import SECRET, Service, order, signed, started
from proxy.settings.settings import Settings, list_settings, read_settings
from tests.config import unit_filter
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = ROOT / "deploy" / "systemd" / "gallformers-images.service"
GUIDE: Final = (ROOT / "docs" / "deploy-systemd.md").read_text(encoding="utf-8")
TOLD: Final = unit_filter.settings(UNIT)
NEEDS_SYSTEMD: Final = pytest.mark.needs("systemd-analyze", "systemd")
HIGHEST_EXPOSURE: Final = 15
"""In tenths, from 0 to 100. What is left is the network and the two folders of the service."""


def environment() -> dict[str, str]:
    """Return the settings of the unit, with its placeholders filled in."""
    words = [word for line in TOLD["Environment"] for word in shlex.split(line)]
    return dict(word.replace("%d", "/run/credentials/gallformers-images.service").split("=", 1) for word in words)


@NEEDS_SYSTEMD
def test_the_unit_is_valid(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8")))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@NEEDS_SYSTEMD
def test_the_unit_leaves_the_service_little(tmp_path: Path) -> None:
    words = ["--offline=true", f"--threshold={HIGHEST_EXPOSURE}", str(UNIT)]
    done = subprocess.run(["systemd-analyze", "security", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tmp_path.joinpath("loose.service").write_text("[Service]\nExecStart=/bin/true\n")
    words[-1] = str(tmp_path / "loose.service")
    assert subprocess.run(["systemd-analyze", "security", *words], capture_output=True, check=False).returncode


def test_its_environment_is_settings_with_which_the_service_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = {setting.name for setting in list_settings()}
    told = environment()
    assert {name.removesuffix("_FILE") for name in told} - {"MALLOC_ARENA_MAX", "TMPDIR"} <= known
    (tmp_path / "webhook-secrets").write_text(SECRET)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEBHOOK_SECRETS_FILE", str(tmp_path / "webhook-secrets"))
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 - as behind a proxy on another machine
    settings = read_settings()
    assert settings.sandbox == "require"
    assert Path(told["WEBHOOK_SECRETS_FILE"]).name == TOLD["LoadCredential"][0].partition(":")[0]


def test_the_service_writes_only_below_its_folders() -> None:
    told = environment()
    state, cache = f"/var/lib/{TOLD['StateDirectory'][0]}/", f"/var/cache/{TOLD['CacheDirectory'][0]}"
    assert told["STORE"].removeprefix("file://").startswith(state)
    assert told["QUEUE"].removeprefix("sqlite:///").startswith(state)
    assert told["TMPDIR"] == cache


def test_it_stops_the_service_as_gently_as_the_service_can_stop() -> None:
    assert float(TOLD["TimeoutStopSec"][0]) >= Settings().grace_seconds + 10
    assert TOLD["Restart"] == ["always"]


def test_the_guide_makes_what_the_unit_names() -> None:
    program = TOLD["ExecStart"][0].split()[0]
    assert f"python3 -m venv {Path(program).parents[1]}" in GUIDE
    for name in (TOLD["User"][0], TOLD["LoadCredential"][0].partition(":")[2], TOLD["EnvironmentFile"][0]):
        assert name in GUIDE


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service under what the unit leaves it."""
    entry = (sys.executable, str(Path(unit_filter.__file__)), str(UNIT))
    service = Service(folder=tmp_path_factory.mktemp("service"), entry=entry, settings={"SANDBOX": "require"})
    with started(service):
        yield service


@NEEDS_SYSTEMD
@pytest.mark.anyio
async def test_the_service_renders_in_its_whole_sandbox_under_the_unit(confined: Service, tmp_path: Path) -> None:
    paint(tmp_path / "photo.jpg", Photograph(width=480, height=360))
    confined.put("gall/1/1_1_original.jpg", tmp_path / "photo.jpg")
    async with httpx.AsyncClient(base_url=confined.url, timeout=60) as client:
        view = await client.get("/img/gall/1/1_1_original.jpg/small", follow_redirects=True)
        assert (view.status_code, view.headers["content-type"]) == (200, "image/jpeg")
        body = order("gall/1/1_1_original.jpg")
        posted = await client.post("/v1/jobs", content=body, headers=signed(body))

        async def ended() -> str | None:
            job = (await client.get(posted.headers["location"])).json()
            return str(job["status"]) if job["status"] in {"done", "error"} else None

        assert await until(ended) == "done"
        series = (await client.get(f"http://127.0.0.1:{confined.metrics_port}/metrics")).text
    parts = dict(re.findall(r'^render_sandbox{part="(\w+)"} (\S+)$', series, re.MULTILINE))
    assert float(parts["seccomp"]) == 1
    assert float(parts["landlock"]) >= 1


@NEEDS_SYSTEMD
@pytest.mark.parametrize(
    ("attempt", "fault"),
    [
        ("import os; os.chown('.', 0, 0)", "PermissionError"),
        ("import os; os.chroot('.')", "PermissionError"),
        ("import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "not supported"),
        pytest.param(
            "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
            "PermissionError",
            marks=pytest.mark.skipif(unit_filter.KERNEL < (6, 3), reason="this kernel has no such rule"),
        ),
    ],
)
def test_what_the_unit_forbids_fails(attempt: str, fault: str, tmp_path: Path) -> None:
    words = [sys.executable, str(unit_filter.__file__), str(UNIT), sys.executable, "-c", attempt]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert fault in done.stderr


@NEEDS_SYSTEMD
def test_the_calls_of_the_sandbox_are_named_because_older_groups_of_systemd_lack_them() -> None:
    *_, own = TOLD["SystemCallFilter"]
    assert own.split() == ["seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]
    without = unit_filter.allowed(TOLD["SystemCallFilter"][:-1])
    assert not {one for one in without if one.startswith("landlock_")}
