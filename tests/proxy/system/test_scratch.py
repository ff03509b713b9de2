"""Tests of scratch folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.errors import Busy, CannotStart, NoRoom, ProcessDied
from proxy.system.scratch import ScratchSpace
from tests.held import no_file_above

ROOM_BYTES = 100
JOB = Ticket(Priority.JOB)

DIES_AT_WORK = """
import asyncio, os, pathlib, signal, sys
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.system.scratch import ScratchSpace

async def main():
    scratch = ScratchSpace(pathlib.Path(sys.argv[1]), room=Admission(budget_bytes=1))
    with scratch.opened():
        async with scratch.folder(1, Ticket(Priority.JOB)) as folder:
            (folder / "half").write_bytes(b"a picture")
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def scratch_at(place: Path) -> ScratchSpace:
    return ScratchSpace(place, room=Admission(budget_bytes=ROOM_BYTES))


def left_in(place: Path) -> list[str]:
    return [path.name for path in place.rglob("*") if path.is_file() and "owners" not in path.parts]


@pytest.mark.anyio
async def test_a_folder_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    scratch = scratch_at(tmp_path)
    with scratch.opened():
        async with scratch.folder(1, JOB) as one, scratch.folder(1, JOB) as other:
            assert one != other
            (one / "file").write_bytes(b"a picture")
            assert left_in(tmp_path) == ["file"]
        assert left_in(tmp_path) == []
    assert list((tmp_path / "work").iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES_AT_WORK, str(tmp_path)], check=False)
    assert left_in(tmp_path) == ["half"]
    with scratch_at(tmp_path).opened():
        assert left_in(tmp_path) == []


@pytest.mark.anyio
async def test_what_a_living_process_works_on_stays(tmp_path: Path) -> None:
    scratch = scratch_at(tmp_path)
    with scratch.opened():
        async with scratch.folder(1, JOB) as folder:
            (folder / "file").write_bytes(b"a picture")
            with scratch_at(tmp_path).opened():
                assert left_in(tmp_path) == ["file"]


@pytest.mark.anyio
async def test_a_folder_is_lent_once_there_is_room_for_what_will_be_in_it(tmp_path: Path) -> None:
    scratch = scratch_at(tmp_path)
    with scratch.opened():
        async with scratch.folder(ROOM_BYTES - 1, JOB), scratch.folder(1, JOB):
            with pytest.raises(Busy):
                async with scratch.folder(1, Ticket(Priority.PAGE, max_wait_seconds=0.01)):
                    pass
        async with scratch.folder(ROOM_BYTES, JOB) as folder:
            assert folder.is_dir()


def test_a_place_that_cannot_be_written_is_said_at_start() -> None:
    with pytest.raises(CannotStart, match="TMPDIR"), scratch_at(Path("/proc/nowhere")).opened():
        pass


@pytest.mark.anyio
async def test_a_disk_that_is_full_is_our_error_and_what_is_not_the_disks_is_not(scratch: ScratchSpace) -> None:
    with pytest.raises(NoRoom, match="No space left on device"):
        async with scratch.folder(1, JOB):
            Path("/dev/full").write_bytes(b"a picture")
    with pytest.raises(FileNotFoundError):
        async with scratch.folder(1, JOB) as folder:
            (folder / "nowhere").read_bytes()


@pytest.mark.anyio
async def test_a_render_process_that_found_no_room_died_of_that(scratch: ScratchSpace) -> None:
    with pytest.raises(ProcessDied):
        async with scratch.folder(1, JOB):
            raise ProcessDied("It died.")
    with pytest.raises(NoRoom), no_file_above(1024):
        async with scratch.folder(1, JOB):
            raise ProcessDied("It died.")


@pytest.mark.anyio
async def test_a_check_writes_and_leaves_nothing(tmp_path: Path) -> None:
    scratch = scratch_at(tmp_path)
    with scratch.opened():
        await scratch.check()
        with pytest.raises(NoRoom, match="TMPDIR"), no_file_above(1024):
            await scratch.check()
        assert left_in(tmp_path) == []


@pytest.mark.anyio
async def test_a_place_that_is_gone_is_our_error(tmp_path: Path) -> None:
    scratch = scratch_at(tmp_path / "place")
    with scratch.opened():
        shutil.rmtree(tmp_path / "place" / "work")
        with pytest.raises(NoRoom):
            await scratch.check()
        with pytest.raises(NoRoom):
            async with scratch.folder(1, JOB):
                pass
