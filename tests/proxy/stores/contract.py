"""Contract tests for all stores: each backend's test module subclasses them with its own `store` fixture."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest

from proxy.derivatives.picture.summary_metadata import metadata_of, summary_of
from proxy.errors import NotFound, TooManyBytes
from proxy.stores.base import Attributes, Blob, Store
from tests.proxy.derivatives.picture.longest import LONGEST
from tests.proxy.stores.blobs import ATTRIBUTES, get, keys, put
from tests.proxy.stores.contract_keys import KeysContract
from tests.proxy.stores.contract_parts import PartsContract

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_SECONDS = 60


@pytest.mark.anyio
class StoreContract(KeysContract, PartsContract):
    """The tests that every store passes."""

    async def test_what_is_put_is_told_by_head(self, store: Store, file: Path) -> None:
        blob = await put(store, "a/b.jpg", b"bytes", file)
        assert (blob.key, blob.bytes, blob.attributes) == ("a/b.jpg", 5, ATTRIBUTES)
        head = await store.head("a/b.jpg")
        assert head is not None
        assert (head.key, head.bytes, head.etag, head.attributes) == ("a/b.jpg", 5, blob.etag, ATTRIBUTES)
        assert abs(head.modified - datetime.now(UTC)) < timedelta(minutes=1)
        assert head.etag.isascii()
        assert '"' not in head.etag

    async def test_what_is_put_is_fetched_to_a_file(self, store: Store, file: Path, tmp_path: Path) -> None:
        await put(store, "a/b.jpg", b"bytes", file)
        blob = await store.fetch("a/b.jpg", tmp_path / "copy", max_bytes=5)
        assert (tmp_path / "copy").read_bytes() == b"bytes"
        assert blob == await store.head("a/b.jpg")

    async def test_what_is_put_is_read_in_chunks(self, store: Store, file: Path) -> None:
        await put(store, "a/b.jpg", b"bytes", file)
        async with store.open("a/b.jpg") as (blob, chunks):
            assert blob == await store.head("a/b.jpg")
            assert b"".join([chunk async for chunk in chunks]) == b"bytes"

    async def test_a_blob_left_half_read_disturbs_nobody(self, store: Store, file: Path) -> None:
        await put(store, "a", os.urandom(3_000_000), file)
        for _ in range(20):
            async with store.open("a") as (_, chunks):
                assert await anext(aiter(chunks))
            async with store.open("a"):
                pass
        assert len(await get(store, "a")) == 3_000_000

    async def test_nothing_under_a_key_is_a_miss(self, store: Store, tmp_path: Path) -> None:
        assert await store.head("nothing") is None
        with pytest.raises(NotFound):
            await store.fetch("nothing", tmp_path / "copy", max_bytes=5)
        with pytest.raises(NotFound):
            async with store.open("nothing"):
                pass
        assert not (tmp_path / "copy").exists()

    async def test_too_many_bytes_leave_nothing(self, store: Store, file: Path, tmp_path: Path) -> None:
        await put(store, "a", b"bytes", file)
        with pytest.raises(TooManyBytes):
            await store.fetch("a", tmp_path / "copy", max_bytes=4)
        assert not (tmp_path / "copy").exists()

    async def test_a_put_replaces_bytes_and_attributes(self, store: Store, file: Path) -> None:
        before = await put(store, "a", b"before", file)
        after = await put(store, "a", b"after", file, Attributes(content_type="image/png"))
        assert after.etag != before.etag
        head = await store.head("a")
        assert head is not None
        assert head.attributes == Attributes(content_type="image/png")
        assert await get(store, "a") == b"after"

    async def test_a_copy_has_the_bytes_and_the_attributes_and_replaces(self, store: Store, file: Path) -> None:
        for key in ("a b/+%2F é.jpg", "plain.jpg"):
            await put(store, key, b"bytes of " + key.encode(), file)
            await put(store, "copies/target.jpg", b"before", file, Attributes(content_type="image/png"))
            copied = await store.copy(key, "copies/target.jpg")
            assert copied == await store.head("copies/target.jpg")
            assert (copied.key, copied.attributes) == ("copies/target.jpg", ATTRIBUTES)
            assert await get(store, "copies/target.jpg") == b"bytes of " + key.encode() == await get(store, key)

    async def test_nothing_is_copied_from_where_nothing_is(self, store: Store, file: Path) -> None:
        await put(store, "target", b"before", file)
        with pytest.raises(NotFound):
            await store.copy("nothing", "target")
        assert await get(store, "target") == b"before"

    async def test_the_etag_changes_with_bytes_of_the_same_length(self, store: Store, file: Path) -> None:
        etags = {(await put(store, "a", bytes([number]), file)).etag for number in range(20)}
        assert len(etags) == 20

    async def test_readers_see_the_old_blob_or_the_new_one_whole(self, store: Store, file: Path) -> None:
        bodies = [bytes([number]) * 300_000 for number in range(8)]
        done = anyio.Event()

        async def read() -> None:
            while not done.is_set():
                async with store.open("a") as (blob, chunks):
                    body = b"".join([chunk async for chunk in chunks])
                assert body in bodies
                assert blob.attributes.metadata == {"number": str(body[0])}

        async def write(number: int) -> None:
            metadata = {"number": str(number)}
            await put(store, "a", bodies[number], file, Attributes(content_type="image/jpeg", metadata=metadata))

        await write(0)
        with anyio.fail_after(DEADLINE_SECONDS):
            async with anyio.create_task_group() as readers:
                for _ in range(4):
                    readers.start_soon(read)
                for number in [*range(8)] * 3:
                    await write(number)
                done.set()

    async def test_the_last_of_many_writers_at_once_leaves_a_whole_blob(self, store: Store, tmp_path: Path) -> None:
        async def write(number: int) -> None:
            metadata = {"number": str(number)}
            body = bytes([number]) * 50_000
            await put(store, "a", body, tmp_path / str(number), Attributes(content_type="x/y", metadata=metadata))

        async with anyio.create_task_group() as writers:
            for number in range(12):
                writers.start_soon(write, number)
        async with store.open("a") as (blob, chunks):
            body = b"".join([chunk async for chunk in chunks])
        assert body == bytes([body[0]]) * 50_000
        assert blob.attributes == Attributes(content_type="x/y", metadata={"number": str(body[0])})

    async def test_the_first_of_many_at_once_is_new_and_stays(self, store: Store, tmp_path: Path) -> None:
        results: dict[int, Blob | None] = {}

        async def write(number: int) -> None:
            path = tmp_path / str(number)
            await anyio.Path(path).write_bytes(bytes([number]))
            results[number] = await store.put_new("race/a", path, ATTRIBUTES)

        async with anyio.create_task_group() as writers:
            for number in range(8):
                writers.start_soon(write, number)
        won = [number for number, blob in results.items() if blob]
        assert len(won) == 1
        assert await get(store, "race/a") == bytes(won)
        head = await store.head("race/a")
        assert head is not None
        assert head.attributes == ATTRIBUTES

    async def test_any_text_survives_as_metadata(self, store: Store, file: Path) -> None:
        metadata = {
            "unicode": "gall é 虫こぶ 🐛",
            "escapes": "100% %41 a+b =?utf-8?q?x?=",
            "spaces": "  two  ",
            "copyright": "© Jane Doe",
        }
        await put(store, "a", b"bytes", file, Attributes(content_type="image/jpeg", metadata=metadata))
        head = await store.head("a")
        assert head is not None
        assert head.attributes.metadata == metadata

    async def test_the_longest_summary_of_a_picture_survives_beside_all_other_metadata(
        self, store: Store, file: Path
    ) -> None:
        others = {"render-profile": "8-8.18.7-930c5932", "original-etag": "e" * 64, "width": "300", "height": "16383"}
        metadata = {**metadata_of(LONGEST), **others}
        await put(store, "a", b"bytes", file, Attributes(content_type="image/jpeg", metadata=metadata))
        head = await store.head("a")
        assert head is not None
        assert summary_of(head.attributes.metadata) == LONGEST

    async def test_a_deleted_blob_is_gone_and_stays_gone(self, store: Store, file: Path) -> None:
        await put(store, "a/b", b"bytes", file)
        for _ in range(2):
            await store.delete("a/b")
            assert await store.head("a/b") is None
            assert await keys(store) == []
            with pytest.raises(NotFound):
                await get(store, "a/b")

    async def test_deleting_touches_nothing_beside(self, store: Store, file: Path) -> None:
        beside = ["a/b", "a/b_small.jpg", "a/b_small.jpg.txt", "a/c/b_small.jpg"]
        for key in beside:
            await put(store, key, b"bytes", file)
        for key in ("a/b_small", "a/c", "a/b_small.jpg.tx", "nothing"):
            await store.delete(key)
        assert sorted(await keys(store)) == sorted(beside)

    async def test_a_deleted_blob_leaves_no_attributes_to_the_next(self, store: Store, file: Path) -> None:
        await put(store, "a/b", b"bytes", file)
        await store.delete("a/b")
        await put(store, "a/b", b"bytes", file, Attributes(content_type="image/png"))
        head = await store.head("a/b")
        assert head is not None
        assert head.attributes == Attributes(content_type="image/png")

    async def test_an_empty_file_is_kept(self, store: Store, file: Path, tmp_path: Path) -> None:
        blob = await put(store, "empty", b"", file)
        assert blob.bytes == 0
        assert (await store.fetch("empty", tmp_path / "copy", max_bytes=0)).bytes == 0
        assert (tmp_path / "copy").read_bytes() == b""
        assert await get(store, "empty") == b""

    async def test_a_large_file_goes_in_and_out_in_pieces(self, store: Store, file: Path, tmp_path: Path) -> None:
        body = os.urandom(1_000_000) * 20
        assert (await put(store, "large", body, file)).bytes == len(body)
        async with store.open("large") as (_, chunks):
            assert max([len(chunk) async for chunk in chunks]) <= 1024 * 1024
        await store.fetch("large", tmp_path / "copy", max_bytes=len(body))
        assert (tmp_path / "copy").read_bytes() == body

    async def test_a_local_file_that_is_not_there_is_no_fault_of_the_store(self, store: Store, file: Path) -> None:
        with pytest.raises(FileNotFoundError):
            await store.put("a", file, ATTRIBUTES)
        assert await store.head("a") is None

    async def test_a_store_in_order_passes_its_check(self, store: Store) -> None:
        await store.check()
        assert await keys(store) == []
