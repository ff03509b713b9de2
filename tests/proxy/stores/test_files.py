"""The store in a folder keeps the contract, and its promises to the person who looks into the folder."""

# ruff: noqa: ASYNC221 - a test looks into the folder as a person would; nobody waits for its event loop
# ruff: noqa: PT012 - what raises is the last step of a stream

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from proxy.errors import NotFound, StoreRefused, StoreUnavailable
from proxy.stores.base import UNKNOWN_TYPE, Attributes, Store
from proxy.stores.files import HIDDEN, FileStore
from tests.proxy.stores.contract import ATTRIBUTES, StoreContract, get, keys, put

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n and so on"


class TestFileStore(StoreContract):
    """The contract, in a folder."""

    @pytest.fixture
    async def store(self, root: Path) -> FileStore:
        """Give an empty store."""
        return await started(root)


async def started(root: Path) -> FileStore:
    """Start a store, as another process or the next one would."""
    store = FileStore(root)
    await store.start()
    return store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the path of a folder that is not there yet."""
    return tmp_path / "root"


@pytest.fixture
async def store(root: Path) -> Store:
    """Give an empty store."""
    return await started(root)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of a local file that is not there yet."""
    return tmp_path / "local"


async def type_of(store: Store, key: str) -> str:
    """Tell the content type of what is under `key`."""
    head = await store.head(key)
    assert head is not None
    return head.attributes.content_type


async def test_an_object_is_a_plain_file_under_its_key(store: Store, root: Path, file: Path) -> None:
    await put(store, "gall/58/58 é_small.jpg", b"bytes", file)
    assert (root / "gall/58/58 é_small.jpg").read_bytes() == b"bytes"
    assert [path.name for path in root.iterdir() if path.name != HIDDEN] == ["gall"]


async def test_a_file_dropped_in_by_hand_is_a_blob(store: Store, root: Path) -> None:
    (root / "gall").mkdir()
    (root / "gall/1_original.png").write_bytes(PNG)
    head = await store.head("gall/1_original.png")
    assert head is not None
    assert head.attributes == Attributes(content_type="image/png")
    assert await get(store, "gall/1_original.png") == PNG
    assert await keys(store) == ["gall/1_original.png"]


@pytest.mark.parametrize(
    ("start", "content_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (PNG, "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"GIF89a", "image/gif"),
        (b"\x00\x00\x00\x20ftypavif", "image/avif"),
        (b"\x00\x00\x00\x20ftypheic", "image/heic"),
        (b"<!DOCTYPE html><script>", UNKNOWN_TYPE),
        (b"<svg onload=alert(1)>", UNKNOWN_TYPE),
        (b"", UNKNOWN_TYPE),
    ],
)
async def test_an_unknown_files_type_is_what_its_bytes_say(
    store: Store, root: Path, start: bytes, content_type: str
) -> None:
    (root / "a.jpg").write_bytes(start)
    assert await type_of(store, "a.jpg") == content_type


async def test_a_blob_replaced_by_hand_loses_its_attributes_and_changes_its_etag(
    store: Store, root: Path, file: Path
) -> None:
    before = await put(store, "a", b"before", file)
    (root / "a").write_bytes(b"after!")
    after = await store.head("a")
    assert after is not None
    assert after.attributes == Attributes()
    assert after.etag != before.etag


async def test_a_writer_that_died_before_its_blob_was_seen_leaves_the_old_one_as_it_was(
    store: Store, root: Path, file: Path
) -> None:
    await put(store, "a", b"before", file)
    sidecar = next((root / HIDDEN).rglob("*.json"))
    (root / "a").rename(root / "aside")
    await put(store, "a", b"after", file, Attributes(content_type="x/y"))
    ahead = sidecar.read_bytes()
    (root / "aside").rename(root / "a")
    sidecar.write_bytes(ahead)
    head = await store.head("a")
    assert head is not None
    assert head.attributes == Attributes()  # unknown, never the other's
    await put(store, "a", b"again", file)
    assert await type_of(store, "a") == "image/jpeg"


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'[{"identity": 1}]', b"\xff"])
async def test_a_broken_sidecar_means_attributes_unknown(store: Store, root: Path, file: Path, left: bytes) -> None:
    await put(store, "a", PNG, file)
    next((root / HIDDEN).rglob("*.json")).write_bytes(left)
    assert await type_of(store, "a") == "image/png"
    assert await get(store, "a") == PNG


async def test_what_is_ours_alone_is_no_key(store: Store, root: Path, file: Path) -> None:
    await put(store, "a", b"bytes", file)
    inside = [str(path.relative_to(root)) for path in (root / HIDDEN).rglob("*.json")]
    assert inside
    assert await keys(store) == ["a"]
    assert await keys(store, HIDDEN) == []
    for key in (*inside, HIDDEN, f"{HIDDEN}/a"):
        with pytest.raises(StoreRefused):
            await store.head(key)
        with pytest.raises(StoreRefused):
            await store.put(key, file, ATTRIBUTES)


@pytest.mark.parametrize(
    "key", ["../outside", "a/../../outside", "/etc/passwd", "a//b", "", ".", "a/.", "a\x00b", "a\ud800b", "é" * 128]
)
async def test_a_key_that_no_file_can_stand_for_is_refused(store: Store, file: Path, key: str) -> None:
    file.write_bytes(b"bytes")
    for refused in (store.head(key), store.fetch(key, file, max_bytes=9), store.put(key, file, ATTRIBUTES)):
        with pytest.raises(StoreRefused, match="file store cannot hold this key"):
            await refused
    with pytest.raises(StoreRefused):
        await store.delete(key)


async def test_a_symbolic_link_is_not_followed(store: Store, root: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "link").symlink_to(tmp_path / "outside" / "secret")
    file.write_bytes(b"bytes")
    for key in ("folder/secret", "link"):
        with pytest.raises(StoreRefused, match="symbolic link"):
            await store.head(key)
        with pytest.raises(StoreRefused, match="symbolic link"):
            await store.put(key, file, ATTRIBUTES)
        with pytest.raises(StoreRefused, match="symbolic link"):
            await store.delete(key)
    assert await keys(store) == []
    assert (tmp_path / "outside" / "secret").read_bytes() == b"secret"


async def test_the_root_itself_may_be_a_symbolic_link(root: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    root.symlink_to(tmp_path / "volume")
    store = await started(root)
    await put(store, "a", b"bytes", file)
    assert (tmp_path / "volume" / "a").read_bytes() == b"bytes"


async def test_a_folder_is_no_blob_and_stays_one(store: Store, root: Path, file: Path) -> None:
    await put(store, "a/b", b"bytes", file)
    assert await store.head("a") is None
    with pytest.raises(NotFound):
        await get(store, "a")
    await store.delete("a")
    for write in (store.put, store.put_new):
        with pytest.raises(StoreRefused, match="a file and a folder at once"):
            await write("a", file, ATTRIBUTES)
    assert await keys(store) == ["a/b"]


async def test_nothing_is_below_a_blob_and_nothing_can_be(store: Store, file: Path) -> None:
    await put(store, "a", b"bytes", file)
    for key in ("a/b", "a/b/c"):
        assert await store.head(key) is None
        await store.delete(key)
        for write in (store.put, store.put_new):
            with pytest.raises(StoreRefused, match="a file and a folder at once"):
                await write(key, file, ATTRIBUTES)
    assert await get(store, "a") == b"bytes"


async def test_a_named_pipe_is_no_blob_and_keeps_nobody_waiting(store: Store, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with anyio.fail_after(10):
        assert await store.head("pipe") is None
    assert await keys(store) == []


async def test_a_name_that_is_no_key_is_not_listed(store: Store, root: Path) -> None:
    (root / "line\nbreak").write_bytes(b"bytes")
    (root / os.fsdecode(b"latin-\xe9")).write_bytes(b"bytes")
    (root / "fine").write_bytes(b"bytes")
    assert await keys(store) == ["fine"]


async def test_delete_takes_empty_folders_along_but_never_the_root(store: Store, root: Path, file: Path) -> None:
    await put(store, "a/b/c/d", b"bytes", file)
    await put(store, "a/e", b"bytes", file)
    await store.delete("a/b/c/d")
    assert sorted(path.name for path in (root / "a").iterdir()) == ["e"]
    await store.delete("a/e")
    assert [path.name for path in root.iterdir()] == [HIDDEN]
    assert list((root / HIDDEN).rglob("*.json")) == []


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
from proxy.stores.files import FileStore

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
    with pytest.raises(StoreUnavailable, match="not there"):
        await FileStore(tmp_path / "gone").check()


async def test_trouble_with_the_disk_is_told_without_a_local_path(root: Path, file: Path) -> None:
    store = await started(root)
    (root / HIDDEN / "temporary").rmdir()
    (root / HIDDEN / "temporary").write_bytes(b"a file where a folder was")
    file.write_bytes(b"bytes")
    with pytest.raises(StoreUnavailable) as caught:
        await store.put("a", file, ATTRIBUTES)
    assert str(root) not in str(caught.value)
