"""The entry point: SIGTERM while the service is being imported, and locales whose encoding is not UTF-8."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, order, signed, started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAMS = [(sys.executable, "-m", "proxy"), (str(Path(sys.executable).with_name("gf-images")),)]
ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}
KEY = "gall/ü/照片\u202e_original.png"
END_SECONDS = 60.0


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used: unlike the time of day, it does not depend on other programs."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def idle_start_seconds() -> float:
    """Return the CPU time that an interpreter takes to start."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime


@contextmanager
def as_first_process(*command: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a command as process 1 of a PID namespace; yield its parent, and its id outside of the namespace."""
    settings = {"TMPDIR": str(folder), "PORT": "0", "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", *command], env=settings, stderr=subprocess.PIPE, text=True
    ) as parent:
        try:
            children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
            deadline = time.monotonic() + END_SECONDS
            while not children.read_text() and time.monotonic() < deadline:
                time.sleep(0.001)
            yield parent, int(children.read_text())
        finally:
            parent.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a PID namespace")
@pytest.mark.needs("unshare", "util-linux")
@pytest.mark.parametrize("program", PROGRAMS, ids=["module", "script"])
@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.2])
def test_sigterm_during_the_imports_ends_the_first_process_of_a_container(
    tmp_path: Path, program: tuple[str, ...], seconds: float
) -> None:
    due = idle_start_seconds() + seconds
    with as_first_process(*program, "openapi", folder=tmp_path) as (parent, pid):
        while cpu_seconds(pid) < due:
            time.sleep(0.001)
        os.kill(pid, signal.SIGTERM)
        _, told = parent.communicate(timeout=END_SECONDS)
    assert (parent.returncode, told) == (128 + signal.SIGTERM, "")


def run(
    *words: str, program: tuple[str, ...] = PROGRAMS[0], settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ["PATH"], **ASCII, **(settings or {})}
    return subprocess.run([*program, *words], env=environment, capture_output=True, check=False, timeout=END_SECONDS)


@pytest.mark.parametrize("program", PROGRAMS, ids=["module", "script"])
def test_render_takes_any_name_in_any_locale(tmp_path: Path, program: tuple[str, ...]) -> None:
    paint(tmp_path / "ü照片.png", Photograph(width=90, height=60))
    (tmp_path / "ß.png").write_bytes(b"no picture")
    files = [str(tmp_path / name) for name in ("ü照片.png", "ß.png", "nowhere-é.png")]
    for words in ((), ("--json",)):
        ended = run("render", *files, "--out", str(tmp_path / "größen"), *words, program=program)
        assert ended.returncode == 1
        assert b"Traceback" not in ended.stderr
        assert "ü照片_small.png".encode() in ended.stdout
        assert "nowhere-é.png".encode() in ended.stdout + ended.stderr
    assert (tmp_path / "größen" / "ü照片_small.png").exists()


def test_an_encoding_of_the_streams_that_is_not_utf_8_ends_no_command(tmp_path: Path) -> None:
    paint(tmp_path / "ü.png", Photograph(width=90, height=60))
    ended = run(
        "render", str(tmp_path / "ü.png"), "--out", str(tmp_path), settings={"PYTHONIOENCODING": "ascii:strict"}
    )
    assert ended.returncode == 0, ended.stderr
    assert rb"\xfc_small.png" in ended.stdout or "ü_small.png".encode() in ended.stdout


def test_check_shows_any_path_in_any_locale(tmp_path: Path) -> None:
    folder = tmp_path / "größe"
    folder.write_text("no folder")
    ended = run("check", "--connect", settings={"STORE": f"file://{folder}", "QUEUE": f"sqlite:///{tmp_path}/q.db"})
    assert ended.returncode == 1
    assert f"STORE: {folder} is not a directory".encode() in ended.stderr
    assert f"STORE=file://{folder}".encode() in ended.stdout


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--json",)], ids=["", "dry-run", "json"])
def test_reprocess_reports_any_key_in_any_locale(tmp_path: Path, words: tuple[str, ...]) -> None:
    for key, content in ((KEY, b""), ("gall/é_original.png", b"no picture")):
        path = tmp_path / "store" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        paint(path, Photograph(width=90, height=60))
        if content:
            path.write_bytes(content)
    settings = {"STORE": f"file://{tmp_path}/store", "QUEUE": f"sqlite:///{tmp_path}/q.db", "TMPDIR": str(tmp_path)}
    ended = run("reprocess", "--state", str(tmp_path / "state"), "--max-failures", "5", *words, settings=settings)
    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False), ended.stderr
    if not words:
        assert (tmp_path / "store" / KEY.replace("original", "small")).exists()


def test_the_service_takes_any_key_in_any_locale(tmp_path: Path) -> None:
    paint(tmp_path / "photo.png", Photograph(width=90, height=60))
    with started(Service(folder=tmp_path, settings={**ASCII, "LOG_FORMAT": "console"})) as service:
        service.put(KEY, tmp_path / "photo.png")
        body = order(KEY)
        assert httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).status_code == 202
        assert httpx.get(f"{service.url}/img/{KEY}/small").status_code == 302
    log = service.log.read_text()
    assert "Traceback" not in log
    assert "gall/ü/照片\\u202e_original.png" in log
