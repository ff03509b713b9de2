"""That a file is closed is noticed, whoever does it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.system.file_closes import FileCloses

pytestmark = pytest.mark.anyio


def close_in_another_process(path: Path, mode: str = "rb") -> None:
    subprocess.run([sys.executable, "-c", f"open({str(path)!r}, {mode!r}).close()"], check=True)


async def test_each_close_by_another_process_is_noticed_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    closes = FileCloses(path)
    for mode in ("rb", "ab"):
        close_in_another_process(path, mode)
        await asyncio.wait_for(closes.next(), 10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(closes.next(), 0.1)
    closes.close()


async def test_what_happens_to_other_files_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    closes = FileCloses(path)
    close_in_another_process(tmp_path / "other", "wb")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(closes.next(), 0.2)
    closes.close()


async def test_a_file_that_is_missing_is_an_error_and_keeps_no_descriptor(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        FileCloses(tmp_path / "missing")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
