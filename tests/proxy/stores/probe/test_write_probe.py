"""The write probe: what it writes and reads, and what it says of a store that does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from proxy.errors import NotFound, StoreDenied, StoreRefused, StoreUnavailable
from proxy.stores.file.store import FileStore
from proxy.stores.probe.write_probe import WriteProbe
from tests.proxy.stores.blobs import ATTRIBUTES, get, keys, put
from tests.proxy.stores.probe.probes import FailingStore

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.stores.probe.write_probe import ProbeResult

pytestmark = pytest.mark.anyio

KEY = "gallformers-images/write-probe"
DENIED = StoreDenied("The bucket rejected the request: AccessDenied (403).", brief="AccessDenied (403)")


@pytest.fixture
def store() -> FailingStore:
    return FailingStore()


async def probed(store: FailingStore) -> ProbeResult:
    return await WriteProbe(store, key=KEY).run()


async def test_a_store_that_works_is_written_and_read_and_left_as_it_was(store: FailingStore) -> None:
    result = await probed(store)
    assert (result.fault, result.is_for_all) == (None, False)
    assert store.calls == ["put", "fetch", "delete"]
    assert await keys(store) == []


async def test_a_folder_is_written_and_read_and_left_as_it_was(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    await store.start()
    assert (await WriteProbe(store, key=KEY).run()).fault is None
    assert await keys(store) == []
    assert not (tmp_path / "store" / "gallformers-images").exists()
    await store.close()


async def test_the_blob_is_random_and_no_cache_keeps_it(store: FailingStore) -> None:
    store.faults["delete"] = DENIED
    await probed(store)
    first = await get(store, KEY)
    await probed(store)
    blob = await store.head(KEY)
    assert blob is not None
    assert (blob.attributes.cache_control, blob.attributes.content_type) == ("no-store", "text/plain")
    assert await get(store, KEY) != first


async def test_credentials_that_may_not_delete_are_no_fault(store: FailingStore) -> None:
    store.faults["delete"] = DENIED
    assert (await probed(store)).fault is None


async def test_credentials_that_only_read_have_a_sentence_of_their_own(store: FailingStore) -> None:
    store.faults["put"] = DENIED
    result = await probed(store)
    assert result.is_for_all
    assert isinstance(result.fault, StoreRefused)
    assert "read-only" in str(result.fault)
    assert "AccessDenied (403)" in str(result.fault)
    assert result.fault.brief == "read-only: AccessDenied (403)"


async def test_credentials_that_neither_read_nor_write_are_not_called_read_only(store: FailingStore) -> None:
    store.faults |= {"put": DENIED, "head": DENIED}
    result = await probed(store)
    assert (result.fault, result.is_for_all) == (DENIED, True)


async def test_credentials_that_only_put_have_a_sentence_of_their_own(store: FailingStore) -> None:
    store.faults["fetch"] = DENIED
    result = await probed(store)
    assert result.is_for_all
    assert "ORIGINALS_BASE_URL" in str(result.fault)
    assert isinstance(result.fault, StoreRefused)
    assert result.fault.brief == "put-only, without ORIGINALS_BASE_URL: AccessDenied (403)"


@pytest.mark.parametrize("fault", [StoreRefused("No."), StoreUnavailable("Not now.")])
async def test_any_other_fault_of_a_write_is_told_as_it_is(store: FailingStore, fault: StoreRefused) -> None:
    store.faults["put"] = fault
    result = await probed(store)
    assert (result.fault, result.is_for_all) == (fault, True)


async def test_a_blob_that_is_never_found_is_a_fault_that_stops_no_job(store: FailingStore) -> None:
    store.faults["fetch"] = NotFound("No file.")
    result = await probed(store)
    assert "is not found" in str(result.fault)
    assert not result.is_for_all
    assert (store.calls.count("put"), store.calls.count("fetch")) == (2, 5)


class Browser:
    """What browsers get: the bytes of the store, or an error, or other bytes."""

    def __init__(self, store: FailingStore) -> None:
        self.store = store
        self.fault: StoreRefused | StoreUnavailable | None = None
        self.lag = 0
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        if self.reads <= self.lag:
            return b"<html>"
        if self.fault:
            raise self.fault
        return await get(self.store, KEY)

    def probe(self) -> WriteProbe:
        return WriteProbe(self.store, key=KEY, read_public=self.read)


async def test_the_blob_is_read_where_browsers_read_it(store: FailingStore) -> None:
    browser = Browser(store)
    assert (await browser.probe().run()).fault is None
    assert browser.reads == 1
    assert await keys(store) == []


async def test_a_cache_that_lags_is_asked_again(store: FailingStore) -> None:
    browser = Browser(store)
    browser.lag = 2
    assert (await browser.probe().run()).fault is None


async def test_other_bytes_at_the_public_url_may_come_from_a_cache_and_are_a_warning(store: FailingStore) -> None:
    browser = Browser(store)
    browser.lag = 99
    with structlog.testing.capture_logs() as logs:
        assert (await browser.probe().run()).fault is None
    assert [(line["event"], "PUBLIC_BASE_URL" in line["detail"]) for line in logs] == [("public_url_differs", True)]


async def test_the_content_of_another_process_that_probes_counts_as_well(store: FailingStore, tmp_path: Path) -> None:
    async def read() -> bytes:
        await put(store, KEY, b"gallformers-images write probe of another", tmp_path / "other", ATTRIBUTES)
        return await get(store, KEY)

    assert (await WriteProbe(store, key=KEY, read_public=read).run()).fault is None


async def test_what_is_only_not_public_is_not_written_again_unless_the_store_is_suspected(
    store: FailingStore,
) -> None:
    browser = Browser(store)
    browser.fault = StoreRefused("Not public.", brief="not public: 403")
    probe = browser.probe()
    result = await probe.run()
    assert (result.fault, result.is_for_all) == (browser.fault, False)
    await probe.run(writes=False)
    assert store.calls.count("put") == 1
    await store.delete(KEY)  # by another process that probes
    await probe.run(writes=False)
    assert store.calls.count("put") == 2
    store.faults["put"] = StoreRefused("Refused.")
    assert (await probe.run(writes=True)).is_for_all
    store.faults.clear()
    browser.fault = None
    assert (await probe.run(writes=False)).fault is None
    assert await keys(store) == []
