"""Tests of scratch folders."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest

from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.errors import Busy, CannotStart, NoRoom, ProcessDied, UnexpectedError
from proxy.system.scratch import ScratchSpace, scratch_budget, scratch_place
from tests.held import no_file_above
from tests.waiting import until

ROOM_BYTES = 100
OURS = "0123456789abcdef" * 2
"""A name such as those of the folders that services leave."""
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


def open_once(place: Path) -> None:
    """Open the place as a service would that starts, and ends at once."""
    with scratch_at(place).opened():
        pass


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


@pytest.mark.anyio
async def test_a_folder_is_removed_whose_caller_is_cancelled_while_it_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    created: list[str] = []

    def create_slowly(dir: Path) -> TemporaryDirectory[str]:  # noqa: A002 - the library's name
        entered.set()
        go_on.wait()
        folder = TemporaryDirectory(dir=dir)
        created.append(folder.name)
        return folder

    async def use_folder() -> None:
        async with scratch.folder(1, JOB):
            pytest.fail("the caller was cancelled before it had a folder")

    scratch = scratch_at(tmp_path)
    monkeypatch.setattr("proxy.system.scratch.TemporaryDirectory", create_slowly)
    with scratch.opened():
        using = asyncio.create_task(use_folder())
        await asyncio.to_thread(entered.wait)
        using.cancel()
        await asyncio.wait([using])
        assert using.cancelled()
        go_on.set()

        async def is_gone() -> bool:
            return bool(created) and not Path(created[0]).exists()

        await until(is_gone)


@pytest.mark.anyio
async def test_a_folder_is_removed_although_its_caller_is_cancelled_twice(tmp_path: Path) -> None:
    used: list[Path] = []

    async def use_folder() -> None:
        async with scratch.folder(1, JOB) as folder:
            used.append(folder)
            await asyncio.Event().wait()

    async def is_used() -> bool:
        return bool(used)

    async def is_gone() -> bool:
        return not used[0].exists()

    scratch = scratch_at(tmp_path)
    with scratch.opened():
        using = asyncio.create_task(use_folder())
        await until(is_used)
        using.cancel()
        await asyncio.sleep(0)  # the removal has begun
        using.cancel()
        await asyncio.wait([using])
        await until(is_gone)


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


@pytest.mark.anyio
async def test_what_a_folder_does_not_need_is_given_to_others(tmp_path: Path) -> None:
    scratch = scratch_at(tmp_path)
    with scratch.opened():
        async with scratch.folder(ROOM_BYTES, JOB) as folder:
            scratch.shrink(folder, ROOM_BYTES - 1)
            scratch.shrink(folder, ROOM_BYTES)  # it never grows
            async with scratch.folder(1, Ticket(Priority.PAGE, max_wait_seconds=0.01)) as other:
                assert other.is_dir()


def test_a_place_that_cannot_be_written_is_said_at_start() -> None:
    with pytest.raises(CannotStart, match=r"TMPDIR: .* /proc/nowhere \(.*, ENOENT\)"):
        open_once(Path("/proc/nowhere"))


@pytest.mark.parametrize(("named", "code"), [("nowhere/at/all", "ENOENT"), ("file", "ENOTDIR"), ("loop", "ELOOP")])
def test_an_unusable_tmpdir_ends_the_start_with_its_path_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, code: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("TMPDIR", str(tmp_path / named))
    with pytest.raises(CannotStart) as refused:
        open_once(scratch_place())
    told = str(refused.value)
    assert told.startswith(f"TMPDIR: cannot write to the scratch folder {tmp_path / named}/gf-images-")
    assert f", {code})" in told
    assert "Set TMPDIR to an existing folder" in told
    assert scratch_budget(scratch_place(), least_bytes=7) >= 7  # it does not fail before that
    assert not (tmp_path / "nowhere").exists()


def test_without_tmpdir_the_scratch_folder_is_in_the_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for none in ("", None):
        if none is None:
            monkeypatch.delenv("TMPDIR", raising=False)
        else:
            monkeypatch.setenv("TMPDIR", none)
        assert scratch_place().parent == Path(gettempdir())


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder with files of this user that nobody may touch."""
    for name in ("notes.txt", "docs/thesis.txt", f"{OURS}/half"):
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of a person")
    return tmp_path / "home"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["work", "owners"])
def test_a_link_in_the_place_of_one_of_its_folders_is_refused_and_not_followed(
    tmp_path: Path, victim: Path, name: str
) -> None:
    before = files(victim)
    (tmp_path / "place").mkdir(mode=0o700)
    (tmp_path / "place" / name).symlink_to(victim)
    with pytest.raises(CannotStart, match=f"{name} is a symbolic link"):
        open_once(tmp_path / "place")
    assert files(victim) == before


def test_a_place_that_is_no_folder_of_this_user_alone_is_refused(tmp_path: Path, victim: Path) -> None:
    before = files(victim)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide").chmod(0o777)
    (tmp_path / "group").mkdir()
    (tmp_path / "group").chmod(0o770)
    for name, fault in (
        ("file", "file is not a folder"),
        ("link", "link is a symbolic link"),
        ("wide", r"other users can write to .*/wide \(mode 0777\)"),
        ("group", r"other users can write to .*/group \(mode 0770\)"),
    ):
        with pytest.raises(CannotStart, match=f"{fault}. Remove it if it is yours, or set TMPDIR"):
            open_once(tmp_path / name)
    assert files(victim) == before
    assert (tmp_path / "wide").stat().st_mode & 0o777 == 0o777


@pytest.mark.needs("setpriv", "util-linux")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")
@pytest.mark.parametrize("sticky", [0o1000, 0])
@pytest.mark.parametrize(
    "attack",
    [
        "mkdir place; ln -s {home} place/work; mkdir place/owners",
        "mkdir place; mkdir place/work; ln -s {home} place/owners",
        "mkdir place place/work place/owners; ln -s {home} place/work/{ours}",
        "mkdir place place/work place/owners",
        "mkdir -m 700 place",
        "ln -s {home} place",
        "ln -s {home}/new place",
        "mkfifo place",
    ],
)
def test_what_another_user_made_first_is_refused_and_nothing_behind_it_is_touched(
    tmp_path: Path, victim: Path, attack: str, sticky: int
) -> None:
    shared, before = tmp_path / "tmp", files(victim)
    shared.mkdir()
    shared.chmod(0o777 | sticky)
    words = "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"
    attack = "umask 000; " + attack.format(home=victim, ours=OURS)
    subprocess.run([*words, attack], cwd=shared, check=True)  # its folder is a path that the other user cannot walk
    made = files(shared)
    with pytest.raises(CannotStart, match="TMPDIR: the scratch folder is not safe to use: "):
        open_once(shared / "place")
    assert (files(victim), files(shared)) == (before, made)


def test_only_names_of_ours_are_removed_and_links_are_left_alone(tmp_path: Path, victim: Path) -> None:
    before, place = files(victim), tmp_path / "place"
    for name in ("work", "owners", "work/project", f"work/{OURS}"):
        (place / name).mkdir(mode=0o700, parents=True)
    os.mkfifo(place / "owners" / f"{OURS[::-1]}")
    for name in ("owners/notes.txt", "work/notes.txt", "work/project/half", f"work/{OURS}/half", f"owners/{OURS}"):
        (place / name).write_text("bytes")
    (place / "work" / OURS / "link").symlink_to(victim)
    (place / "work" / OURS.replace("0", "1")).symlink_to(victim)
    (place / "owners" / OURS.replace("0", "1")).symlink_to(victim / "notes.txt")
    open_once(place)
    assert files(victim) == before
    assert set(files(place)) == {
        "owners",
        "owners/notes.txt",
        f"owners/{OURS[::-1]}",
        f"owners/{OURS.replace('0', '1')}",
        "work",
        "work/notes.txt",
        "work/project",
        "work/project/half",
        f"work/{OURS.replace('0', '1')}",
    }


def test_folders_that_an_older_version_created_under_a_wide_umask_are_narrowed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o700)
    for name in ("work", "owners"):
        (place / name).mkdir()
        (place / name).chmod(0o775)
    with scratch_at(place).opened():
        assert {path.stat().st_mode & 0o777 for path in (place / "work", place / "owners")} == {0o700}


def test_all_folders_that_it_creates_are_for_this_user_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        with scratch_at(tmp_path / "place").opened():
            folders = [tmp_path / "place", *(path for path in (tmp_path / "place").rglob("*") if path.is_dir())]
            assert [path.stat().st_mode & 0o777 for path in folders] == [0o700] * 4
    finally:
        os.umask(umask)


@pytest.mark.anyio
async def test_a_disk_that_is_full_is_our_error_and_what_is_not_the_disks_is_not(scratch: ScratchSpace) -> None:
    with pytest.raises(NoRoom, match="No space left on device"):
        async with scratch.folder(1, JOB):
            Path("/dev/full").write_bytes(b"a picture")
    with pytest.raises(FileNotFoundError):
        async with scratch.folder(1, JOB) as folder:
            (folder / "nowhere").read_bytes()


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [ProcessDied, UnexpectedError])
async def test_a_render_process_that_found_no_room_failed_because_of_that(
    scratch: ScratchSpace, fault: type[ProcessDied | UnexpectedError]
) -> None:
    with pytest.raises(fault):
        async with scratch.folder(1, JOB):
            raise fault("It failed.")
    with pytest.raises(NoRoom), no_file_above(1024):
        async with scratch.folder(1, JOB):
            raise fault("It failed.")


@pytest.mark.anyio
async def test_a_check_writes_and_leaves_nothing(tmp_path: Path) -> None:
    scratch = scratch_at(tmp_path)
    with scratch.opened():
        await scratch.check()
        with pytest.raises(NoRoom, match="TMPDIR"), no_file_above(1024):
            await scratch.check()
        assert left_in(tmp_path) == []


@pytest.mark.anyio
@pytest.mark.parametrize("lost", ["", "work", "owners", "work/*", "owners/*"])
async def test_a_folder_that_is_lost_while_it_runs_is_made_anew(tmp_path: Path, lost: str) -> None:
    place = tmp_path / "place"
    scratch = scratch_at(place)
    with scratch.opened():
        own = scratch.own_folder()
        for path in [*place.glob(lost)] if lost else [place]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        await scratch.check()
        assert scratch.own_folder() == own  # render processes have it as their TMPDIR
        async with scratch.folder(1, JOB) as folder:
            (folder / "file").write_bytes(b"a picture")
            open_once(place)
            assert left_in(place) == ["file"]
    assert files(place) == ["owners", "work"]


@pytest.mark.anyio
async def test_a_living_process_keeps_its_folder_when_a_cleaner_took_its_lock_file(tmp_path: Path) -> None:
    scratch = scratch_at(tmp_path)
    with scratch.opened():
        async with scratch.folder(1, JOB) as folder:
            (folder / "file").write_bytes(b"a picture")
            for path in (tmp_path / "owners").iterdir():
                path.unlink()
            open_once(tmp_path)
            assert left_in(tmp_path) == ["file"]


@pytest.mark.anyio
async def test_a_place_that_another_took_while_it_ran_is_our_error(tmp_path: Path, victim: Path) -> None:
    before, place = files(victim), tmp_path / "place"
    scratch = scratch_at(place)
    with scratch.opened():
        shutil.rmtree(place)
        place.symlink_to(victim)
        for _ in range(2):
            with pytest.raises(NoRoom, match="place is a symbolic link"):
                await scratch.check()
            with pytest.raises(NoRoom, match="TMPDIR"):
                async with scratch.folder(1, JOB):
                    pass
    assert files(victim) == before


def test_the_room_for_originals_is_a_part_of_the_disk_but_at_least_enough_for_one(tmp_path: Path) -> None:
    assert 1 < scratch_budget(tmp_path / "not" / "there" / "yet", least_bytes=1) < 1 << 60
    assert scratch_budget(tmp_path, least_bytes=1 << 60) == 1 << 60
