"""Contract tests of the file store, and tests of files that are added, replaced or inspected by hand."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import ExitStack, contextmanager
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING

import anyio
import pytest

from proxy.errors import NotFound, StoreRefused, StoreUnavailable, UnfitKey
from proxy.stores.base import UNKNOWN_TYPE, Attributes
from proxy.stores.file import atomic
from proxy.stores.file.atomic import open_plain
from proxy.stores.file.store import HIDDEN
from tests.held import no_file_above
from tests.proxy.stores.blobs import ATTRIBUTES, get, keys, put
from tests.proxy.stores.contract import StoreContract
from tests.proxy.stores.contract_keys import DOT_KEYS
from tests.proxy.stores.file.file_stores import started, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.stores.base import Store
    from proxy.stores.file.store import FileStore

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n and so on"


class TestFileStore(StoreContract):
    """The contract, on the file store."""

    @pytest.fixture
    async def store(self, root: Path) -> FileStore:
        """Return an empty store."""
        return await started(root)

    async def test_a_name_that_begins_with_a_dot_is_a_key(self, store: Store, file: Path) -> None:
        """It is none here: people and programs hide files in folders by such names."""
        root = file.parent / "root"
        for key in (*DOT_KEYS, "...", "a/..b"):
            file.write_bytes(b"bytes")
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(b"hidden")
            for refused in (
                store.head(key),
                store.fetch(key, file, max_bytes=9),
                store.put(key, file, ATTRIBUTES),
                store.put_new(key, file, ATTRIBUTES),
                store.copy(key, "a.jpg"),
                store.delete(key),
            ):
                with pytest.raises(UnfitKey, match="a segment begins with '\\.'"):
                    await refused
            with pytest.raises(UnfitKey):
                await get(store, key)
            assert (root / key).read_bytes() == b"hidden"
        for prefix in ("", ".", ".git/", "a/", "a/.", "dots/..a/"):
            assert await keys(store, prefix) == []


@pytest.fixture
async def store(root: Path) -> Store:
    """Return an empty store."""
    return await started(root)


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
    assert head.attributes == Attributes()  # unknown, rather than those of the other file
    await put(store, "a", b"again", file)
    assert await type_of(store, "a") == "image/jpeg"


@pytest.mark.parametrize("shared_by", ["all writers", "one key"])
async def test_a_writer_that_was_stopped_within_a_write_is_not_waited_for_without_end(
    store: Store, root: Path, file: Path, shared_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "LOCK_SECONDS", 0.05)
    await put(store, "a", b"old", file)
    with ExitStack() as stopped:
        for lock in (root / HIDDEN / "locks").iterdir():
            if (lock.name == "writers") == (shared_by == "all writers"):
                stopped.enter_context(atomic.locked(lock))
        with pytest.raises(StoreUnavailable, match=r"another process has held a lock for 0\.05 s; is it stopped\?"):
            await put(store, "a", b"new", file)
        assert await get(store, "a") == b"old"
    await put(store, "a", b"new", file)
    assert await get(store, "a") == b"new"


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
        with pytest.raises(StoreRefused, match="key cannot be stored"):
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
        with pytest.raises(StoreRefused, match="a file and a folder would have the same path"):
            await write("a", file, ATTRIBUTES)
    assert await keys(store) == ["a/b"]


async def test_nothing_is_below_a_blob_and_nothing_can_be(store: Store, file: Path) -> None:
    await put(store, "a", b"bytes", file)
    for key in ("a/b", "a/b/c"):
        assert await store.head(key) is None
        await store.delete(key)
        for write in (store.put, store.put_new):
            with pytest.raises(StoreRefused, match="a file and a folder would have the same path"):
                await write(key, file, ATTRIBUTES)
    assert await get(store, "a") == b"bytes"


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
async def test_what_is_no_plain_file_is_no_blob_and_stays_what_it_is(
    store: Store, root: Path, file: Path, kind: str
) -> None:
    special = root / "gall" / "1_original.jpg"
    special.parent.mkdir()
    with special_file(special, kind), anyio.fail_after(10):
        before = special.lstat()
        assert await store.head("gall/1_original.jpg") is None
        for missing in (
            store.fetch("gall/1_original.jpg", file, max_bytes=9),
            store.copy("gall/1_original.jpg", "a"),
            get(store, "gall/1_original.jpg"),
        ):
            with pytest.raises(NotFound):
                await missing
        assert await keys(store) == []
        file.write_bytes(b"bytes")
        for write in (store.put, store.put_new):
            with pytest.raises(StoreRefused, match="a pipe, a socket or a device"):
                await write("gall/1_original.jpg", file, ATTRIBUTES)
        await store.delete("gall/1_original.jpg")
        assert os.path.samestat(special.lstat(), before)


@contextmanager
def special_file(path: Path, kind: str) -> Iterator[None]:
    """Create a file that is not a plain one, for the length of the block."""
    if kind == "pipe":
        os.mkfifo(path)
        yield
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            yield
    else:
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
        except PermissionError:
            pytest.skip("needs root, to create a device")
        yield


async def test_a_blob_that_a_socket_replaces_while_it_is_found_is_no_blob(root: Path) -> None:
    root.mkdir()
    with special_file(root / "socket", "socket"):
        assert open_plain(Lagging(root / "socket")) is None


class Lagging(PosixPath):
    """A path whose file was a plain one when it was examined."""

    def lstat(self) -> os.stat_result:
        return Path(__file__).lstat()


@pytest.mark.parametrize("name", ["", "temporary", "sidecars", "locks"])
async def test_an_internal_folder_that_is_a_link_ends_the_start_and_nothing_is_removed(
    root: Path, tmp_path: Path, name: str
) -> None:
    inside = ["notes.txt", "temporary/notes.txt"]
    for path in inside:
        (tmp_path / "home" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / path).touch()
    (root / HIDDEN).parent.mkdir()
    if name:
        (root / HIDDEN).mkdir()
    (root / HIDDEN / name).symlink_to(tmp_path / "home")
    with pytest.raises(StoreRefused, match="Remove the link from the folder of STORE"):
        await started(root)
    assert [path for path in inside if (tmp_path / "home" / path).exists()] == inside


async def test_what_is_no_temporary_file_is_left_alone_at_the_start(store: Store, root: Path) -> None:
    (root / HIDDEN / "temporary" / "folder").mkdir()
    await started(root)
    assert (root / HIDDEN / "temporary" / "folder").is_dir()


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


async def test_a_disk_that_takes_no_bytes_does_not_pass_a_check(store: Store, root: Path) -> None:
    with pytest.raises(StoreUnavailable), no_file_above(1024):
        await store.check()
    await store.check()
    assert list((root / HIDDEN / "temporary").iterdir()) == []


async def test_a_folder_that_went_away_is_trouble_and_no_empty_store(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"bytes")
    store = await started(tmp_path / "store")
    for key in ("gall/a", "gall/b"):
        await store.put(key, tmp_path / "picture", Attributes())
    (tmp_path / "store").rename(tmp_path / "aside")
    (tmp_path / "store").mkdir()  # like the mount point of a missing disk
    for ask in (store.head("gall/a"), store.check(), store.put("gall/c", tmp_path / "picture", Attributes())):
        with pytest.raises(StoreUnavailable, match="folder"):
            await ask
    with pytest.raises(StoreUnavailable, match="folder"):
        [blob async for blob in store.list()]
    (tmp_path / "store").rmdir()
    (tmp_path / "aside").rename(tmp_path / "store")
    assert [blob.key async for blob in store.list()] == ["gall/a", "gall/b"]
