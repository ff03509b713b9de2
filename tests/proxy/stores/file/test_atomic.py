"""Tests of atomicity in the file store, with concurrent, killed and failing writers."""

# ruff: noqa: ASYNC221 - a test may block its event loop with a subprocess; nothing else runs on it
# ruff: noqa: PT012 - the last step of a stream raises

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING

import anyio
import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.file.atomic import make_folder, move_into_place, prune
from proxy.stores.file.store import HIDDEN, FileStore
from tests.held import flushes
from tests.proxy.stores.blobs import ATTRIBUTES, get, keys, put
from tests.proxy.stores.file.file_stores import started, type_of

if TYPE_CHECKING:
    from proxy.stores.base import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(root: Path) -> Store:
    """Return an empty store."""
    return await started(root)


async def test_puts_and_deletes_in_one_folder_do_not_disturb_each_other(root: Path, tmp_path: Path) -> None:
    stores = [await started(root) for _ in range(2)]

    async def come_and_go(number: int) -> None:
        file = tmp_path / str(number)
        for _ in range(25):
            await put(stores[number % 2], f"x/y/z/{number}", b"bytes", file)
            assert await get(stores[number % 2], f"x/y/z/{number}") == b"bytes"
            await stores[number % 2].delete(f"x/y/z/{number}")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(come_and_go, number)
    assert await keys(stores[0]) == []
    assert list((root / HIDDEN / "temporary").iterdir()) == []


class Contested(PosixPath):
    """A path whose new folders are removed right after their creation, as by a concurrent delete."""

    takes_away = 3

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of `Path.mkdir`
        super().mkdir(mode, parents, exist_ok)
        if Contested.takes_away and self.name == "z":
            Contested.takes_away -= 1
            prune(self, Path(self.anchor))


def test_a_folder_that_somebody_takes_away_while_it_is_made_is_made_again(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"bytes")
    (tmp_path / "kept").write_bytes(b"so that what is above stays")
    move_into_place(file, Contested(tmp_path / "x" / "y" / "z" / "a"))
    assert Contested.takes_away == 0
    assert (tmp_path / "x" / "y" / "z" / "a").read_bytes() == b"bytes"


async def test_each_new_folder_of_a_put_is_flushed_in_the_one_above_it(root: Path, file: Path) -> None:
    store = await started(root)
    file.write_bytes(b"bytes")
    for write in (store.put, store.put_new):
        for key in ("a.jpg", "x/y/z/a.jpg", "x/y/other/a.jpg"):
            before = folders(root)
            with flushes() as flushed:
                await write(f"{write.__name__}/{key}", file, ATTRIBUTES)
            assert {folder.parent for folder in folders(root) - before} <= set(flushed)
            assert (root / write.__name__ / key).parent in flushed


def folders(root: Path) -> set[Path]:
    """Return all folders but those of lock files, which may be lost."""
    return {path for path in root.rglob("*") if path.is_dir() and "locks" not in path.parts}


async def test_the_root_of_a_new_store_is_flushed_with_all_that_is_above_it(tmp_path: Path) -> None:
    with flushes() as flushed:
        await started(tmp_path / "volume" / "images" / "store")
    new = tmp_path / "volume" / "images" / "store" / HIDDEN / "temporary"
    assert {*new.parents} - {*tmp_path.parents} <= set(flushed)


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/proc/nowhere/at/all"])
def test_a_folder_that_can_never_be_made_is_not_tried_for_ever(folder: str) -> None:
    with pytest.raises(FileNotFoundError):
        make_folder(Path(folder))


def test_a_file_that_is_not_there_is_placed_nowhere(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move_into_place(file, tmp_path / "x" / "a")


async def test_a_failed_put_leaves_the_old_blob_and_no_trace(store: Store, root: Path, file: Path) -> None:
    await put(store, "a", b"bytes", file)
    with pytest.raises(IsADirectoryError):
        await store.put("a", root, ATTRIBUTES)
    assert await get(store, "a") == b"bytes"
    assert list((root / HIDDEN / "temporary").iterdir()) == []


async def test_what_a_dead_writer_left_is_removed_at_the_start(store: Store, root: Path) -> None:
    left = root / HIDDEN / "temporary" / "0123"
    left.write_bytes(b"half")
    await started(root)
    assert not left.exists()


async def test_what_a_living_writer_is_at_stays(store: Store, root: Path, file: Path) -> None:
    held = root / HIDDEN / "temporary" / "0123"
    held.write_bytes(b"half")
    await store.check()
    with (root / HIDDEN / "locks" / "writers").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        await started(root)
        assert held.exists()
    await started(root)
    assert not held.exists()


KILLED = """
import asyncio, os, pathlib, signal, sys
from proxy.stores.base import Attributes
from proxy.stores.file.store import FileStore

root, source = map(pathlib.Path, sys.argv[1:3])
left = int(sys.argv[3])

def count(event, arguments):
    global left
    if event == "open" or event.startswith(("os.", "fcntl.")):
        left -= 1
        if left < 0:
            signal.raise_signal(signal.SIGKILL)

async def main():
    store = FileStore(root)
    await store.head("a/b")
    sys.addaudithook(count)
    await store.put("a/b", source, Attributes(content_type="image/png"))
    os._exit(0)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_writer_killed_at_any_moment_leaves_the_old_blob_or_the_new_one(
    store: Store, root: Path, file: Path
) -> None:
    seen = set()
    for moment in range(100):
        await put(store, "a/b", b"old", file)
        file.write_bytes(b"new")
        child = subprocess.run([sys.executable, "-c", KILLED, root, file, str(moment)], check=False, timeout=60)
        seen.add((await get(store, "a/b"), await type_of(store, "a/b")))
        await started(root)
        assert list((root / HIDDEN / "temporary").iterdir()) == []
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL
    assert moment > 10
    assert seen == {(b"old", "image/jpeg"), (b"new", "image/png")}


async def test_a_file_written_to_while_it_is_read_is_not_taken_for_whole(
    store: Store, root: Path, tmp_path: Path
) -> None:
    (root / "growing").write_bytes(b"x" * 1_000_000)
    with pytest.raises(StoreUnavailable, match="while it was read"):
        async with store.open("growing") as (_, chunks):
            async for _ in chunks:
                with (root / "growing").open("ab") as growing:
                    growing.write(b"y")
    (root / "shrinking").write_bytes(b"x" * 1_000_000)
    with pytest.raises(StoreUnavailable, match="while it was read"):
        async with store.open("shrinking") as (_, chunks):
            async for _ in chunks:
                os.truncate(root / "shrinking", 10)


async def test_a_root_that_is_gone_fails_the_check(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is missing or was replaced"):
        await FileStore(tmp_path / "gone").check()


async def test_trouble_with_the_disk_is_told_without_a_local_path(root: Path, file: Path) -> None:
    store = await started(root)
    (root / HIDDEN / "temporary").rmdir()
    (root / HIDDEN / "temporary").write_bytes(b"a file where a folder was")
    file.write_bytes(b"bytes")
    with pytest.raises(StoreUnavailable) as caught:
        await store.put("a", file, ATTRIBUTES)
    assert str(root) not in str(caught.value)
