"""Contract tests of keys."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import anyio
import pytest

from proxy.errors import UnfitKey
from tests.proxy.stores.blobs import ATTRIBUTES, get, keys, put

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.stores.base import Store

AWKWARD_KEYS = [
    "plain.jpg",
    "a folder/with spaces .jpg",
    " begins with a space",
    "plus+plus.jpg",
    "percent%2Fencoded%20and%.jpg",
    "question?hash#amp&equals=;semicolon.jpg",
    "quotes'\"`~!@$^*()[]{}|<>:,.jpg",
    unicodedata.normalize("NFC", "café/gall é.jpg"),
    unicodedata.normalize("NFD", "café/gall é.jpg"),
    "gall/虫こぶ/🐛.jpg",
    "dots/a../b.hidden/a..jpg",
    "/".join(["é" * 100] * 5) + "/" + "x" * 19,
]

DOT_KEYS = [".env", "a/.env", ".git/config", "dots/..a/.hidden/a..jpg"]


@pytest.mark.anyio
class KeysContract:
    """The tests of keys that every store passes."""

    @staticmethod
    def sort_key(key: str) -> list[bytes]:
        """Return the sort key by which the store orders `key` in a listing."""
        return [key.encode()]

    @pytest.mark.parametrize("key", AWKWARD_KEYS, ids=ascii)
    async def test_a_key_is_kept_as_it_is(self, store: Store, file: Path, key: str) -> None:
        await put(store, key, key.encode(), file)
        head = await store.head(key)
        assert head is not None
        assert head.key == key
        assert await get(store, key) == key.encode()
        assert await keys(store) == [key]
        assert await keys(store, key[:-1]) == [key]
        await store.delete(key)
        assert await keys(store) == []

    async def test_a_name_that_begins_with_a_dot_is_a_key(self, store: Store, file: Path) -> None:
        for key in DOT_KEYS:
            await put(store, key, key.encode(), file)
            assert await get(store, key) == key.encode()
        assert await keys(store) == sorted(DOT_KEYS, key=self.sort_key)

    async def test_a_backslash_is_no_slash(self, store: Store, file: Path) -> None:
        await put(store, "a\\b", b"bytes", file)
        assert await keys(store) == ["a\\b"]

    async def test_no_two_keys_are_taken_for_one(self, store: Store, file: Path) -> None:
        for key in AWKWARD_KEYS:
            await put(store, key, key.encode(), file)
        for key in AWKWARD_KEYS:
            assert await get(store, key) == key.encode()

    async def test_a_key_too_long_is_refused(self, store: Store, file: Path) -> None:
        with pytest.raises(UnfitKey):
            await put(store, "/".join(["a" * 204] * 5) + "b", b"bytes", file)

    async def test_keys_are_listed_by_prefix_in_the_order_of_their_bytes(self, store: Store, file: Path) -> None:
        names = ["B", "a b", "a!/x", "a-b", "a.b", "a/b/c", "a0/x", "ab", "b", "z", "é", "\uffee", "🐛"]
        names.sort(key=self.sort_key)
        for name in names:
            await put(store, name, b"bytes", file)
        assert await keys(store) == names
        for prefix in ("a", "a/", "a/b", "a/b/c", "é", "nothing", "a/nothing", "b/"):
            assert await keys(store, prefix) == [name for name in names if name.startswith(prefix)]
        listed = [blob async for blob in store.list("a-b")]
        head = await store.head("a-b")
        assert head is not None
        assert [(blob.bytes, blob.etag, blob.modified) for blob in listed] == [(5, head.etag, head.modified)]

    async def test_a_walk_goes_on_behind_the_key_it_had_come_to(self, store: Store, file: Path) -> None:
        names = ["B", "a b", "a!/x", "a-b", "a.b", "a/b/c", "a/b-c", "a/b/d/e", "a0/x", "ab", "b", "z", "é", "🐛"]
        for name in names:
            await put(store, name, b"bytes", file)
        for prefix in ("", "a", "a/", "a/b"):
            listed = await keys(store, prefix)
            for number, key in enumerate(listed):
                assert await keys(store, prefix, after=key) == listed[number + 1 :]

    async def test_a_walk_goes_on_behind_a_key_that_is_gone(self, store: Store, file: Path) -> None:
        for name in ("a/1", "a/2", "a/3"):
            await put(store, name, b"bytes", file)
        await store.delete("a/2")
        assert await keys(store, "a/", after="a/2") == ["a/3"]

    async def test_a_long_list_has_every_key_once(self, store: Store, file: Path) -> None:
        names = [f"{number % 7}/{number:04}" for number in range(1100)]
        await anyio.Path(file).write_bytes(b"")
        limiter = anyio.CapacityLimiter(8)

        async def write(name: str) -> None:
            async with limiter:
                await store.put(name, file, ATTRIBUTES)

        async with anyio.create_task_group() as writers:
            for name in names:
                writers.start_soon(write, name)
        listed = sorted(names, key=self.sort_key)
        assert await keys(store) == listed
        assert await keys(store, after=listed[20]) == listed[21:]
