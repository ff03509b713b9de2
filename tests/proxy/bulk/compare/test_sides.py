"""Sides in a folder, below a prefix of the store, below a base URL."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

import pytest

from proxy.bulk.compare.sides import open_side
from proxy.bulk.originals import ListedOriginals
from proxy.errors import CannotStart
from proxy.keys.layouts import SiteLayout
from proxy.stores.file.store import FileStore
from proxy.stores.memory import MemoryStore
from tests.proxy.bulk.compare.planted import PLANTS, fill, key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.bulk.compare.sides import Side
    from proxy.bulk.originals import Originals
    from tests.proxy.bulk.compare.conftest import Compare, Comparison

LAYOUT = SiteLayout(sizes=("small", "medium"))


def folder(path: Path) -> Side:
    return open_side(str(path), open_store=MemoryStore)


async def keys(originals: Originals, *, after: str = "") -> list[str]:
    return [one async for one in originals.walk(after=after)]


def tree(path: Path, count: int) -> list[str]:
    names = [key(number) for number in range(count)]
    for name in names:
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(b"an original")
    return sorted(names)


@pytest.mark.anyio
async def test_a_folder_that_is_compared_stays_as_it_is(tmp_path: Path) -> None:
    names = tree(tmp_path, 3)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    one = folder(tmp_path)
    async with one.opened():
        assert await keys(ListedOriginals(store=one, layout=LAYOUT)) == names
        assert await one.fetch("gall/9/nothing.jpg", tmp_path.parent / "fetched") is None
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.anyio
async def test_a_folder_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="does not exist"):
        async with folder(tmp_path / "nothing").opened():
            pass


@pytest.mark.anyio
async def test_a_side_below_a_prefix_has_keys_without_it(tmp_path: Path) -> None:
    names = tree(tmp_path / "shadow", 3)
    shadow = open_side("prefix:shadow/", open_store=lambda: FileStore(tmp_path))
    async with shadow.opened():
        originals = ListedOriginals(store=shadow, layout=LAYOUT, prefixes=("gall/",))
        assert await keys(originals) == names
        assert await keys(originals, after=names[0]) == names[1:]
        blob = await shadow.fetch(names[0], tmp_path / "fetched")
        assert blob


def test_both_sides_of_one_store_are_compared_by_its_prefixes(compare: Compare, tmp_path: Path) -> None:
    plants = {number: plant for number, plant in enumerate(PLANTS.values(), start=1) if number in (1, 12)}
    asyncio.run(fill(tmp_path / "store", "old", plants))
    asyncio.run(fill(tmp_path / "store", "new", plants, prefix="shadow/"))
    assert causes(compare("prefix:", "prefix:shadow/", "--json", "--prefix", "gall/")) == {
        (key(1), "medium"): ["new-missing"],
        (key(12), "medium"): ["cache-control"],
    }


def test_a_side_behind_an_address_is_compared_with_what_clients_are_told(
    planted: Path, compare: Compare, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(f"{key(1)}\n{key(3)}\n")
    with serving(planted / "new") as address:
        told = compare(planted / "old", address, "--json", "--originals", str(tmp_path / "keys"))
    assert causes(told) == {
        (key(1), "small"): ["cache-control"],
        (key(1), "medium"): ["new-missing"],
        (key(3), "small"): ["cache-control"],
        (key(3), "medium"): ["cache-control", "one-pixel"],
    }


def causes(comparison: Comparison) -> dict[tuple[object, object], list[str]]:
    """Return the causes of the differences, by key and size."""
    told = comparison.events("differs")
    return {(event["key"], event["size"]): [*cast("dict[str, str]", event["causes"])] for event in told}


class Quiet(SimpleHTTPRequestHandler):
    """A handler that serves files with a type and a length, but no cache header."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(root: Path, requested: list[str] | None = None) -> Iterator[str]:
    """Yield the base URL of an HTTP server on loopback that serves a folder; each path is added to `requested`."""

    class Recorded(Quiet):
        def translate_path(self, path: str) -> str:
            if requested is not None:
                requested.append(path)
            return super().translate_path(path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Recorded, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.anyio
async def test_below_the_public_base_url_nothing_is_requested_that_the_store_lacks(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    requested: list[str] = []
    with serving(root, requested) as address:
        (root / "a.jpg").write_bytes(b"bytes")
        store = FileStore(root)
        side = open_side(address, open_store=lambda: store, public_base_url=address.rstrip("/"))
        async with side.opened():
            assert await side.fetch("missing.jpg", tmp_path / "fetched") is None
            assert await side.fetch("a.jpg", tmp_path / "fetched") is not None
    assert requested == ["/a.jpg"]
