"""`gf-images render`: what it reports before any file, meanwhile, and when it is stopped."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pytest

from loadtest.paint import Photograph, paint
from pipeline.process.confinement.syscalls import LANDLOCK_CREATE_RULESET
from tests.pipeline.process.confinement.lacking import fail_calls
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_sandbox_that_is_required_and_missing_is_reported(tmp_path: Path) -> None:
    def without_landlock() -> None:
        fail_calls(LANDLOCK_CREATE_RULESET, errno.ENOSYS)

    photo = tmp_path / "photo.jpg"
    paint(photo, Photograph(width=40, height=30))
    result = subprocess.run(
        [sys.executable, "-m", "proxy", "render", str(photo), "--out", str(tmp_path / "out")],
        env={**os.environ, "SANDBOX": "require"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=without_landlock,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("SANDBOX: is require, but Landlock is not in force: ")
    assert not list((tmp_path / "out").iterdir())


MANY = 60
"""Files of a run that is stopped while it runs."""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_and_it_lists_what_was_written(tmp_path: Path, signum: int, code: int) -> None:
    photo, out = tmp_path / "photo00.jpg", tmp_path / "out"
    paint(photo, Photograph(width=800, height=600))
    photos = [photo, *(tmp_path / f"photo{number:02}.jpg" for number in range(1, MANY))]
    for copy in photos[1:]:
        copy.write_bytes(photo.read_bytes())

    async def has_begun() -> bool:
        return (out / "photo00_small.jpg").exists()

    with subprocess.Popen(
        [sys.executable, "-m", "proxy", "render", *map(str, photos), "--out", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        asyncio.run(until(has_begun))
        process.send_signal(signum)
        stdout, stderr = process.communicate(timeout=60)
    results = [msgspec.json.decode(line) for line in stdout.splitlines()]
    assert process.returncode == code, stderr
    assert 0 < len(results) < MANY
    assert {made["path"] for result in results for made in result["derivatives"]} == {*map(str, out.iterdir())}
    written = sum(len(result["derivatives"]) for result in results)
    assert f"Stopped after {len(results)} of {MANY} files. Written: {written} derivatives".encode() in stderr


def test_a_terminal_shows_how_many_files_are_done(tmp_path: Path) -> None:
    paint(tmp_path / "photo.jpg", Photograph(width=40, height=30))
    terminal, side = pty.openpty()
    words = ["render", str(tmp_path / "photo.jpg"), str(tmp_path / "absent.jpg"), "--out", str(tmp_path / "out")]
    result = subprocess.run(
        [sys.executable, "-m", "proxy", *words],
        env={**os.environ, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=side,
        check=False,
    )
    os.close(side)
    shown = b""
    with suppress(OSError):  # at the end
        while part := os.read(terminal, 1 << 16):
            shown += part
    os.close(terminal)
    assert result.returncode == 1
    assert b"2 of 2, absent.jpg" in shown
    assert b"does not exist" in shown
