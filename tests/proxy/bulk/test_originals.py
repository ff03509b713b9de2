"""The originals of a run: from a listing, a file, a file of failures, a sample."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.bulk.originals import (
    FailedOriginal,
    FailedOriginals,
    FileOriginals,
    ListedOriginals,
    Walk,
    append_failure,
    count,
    failed_keys,
    sample,
)
from proxy.errors import CannotStart, UnreadableFolders
from proxy.keys.layouts import SiteLayout
from proxy.stores.base import Attributes
from proxy.stores.file.store import FileStore
from proxy.stores.memory import MemoryStore
from tests.proxy.bulk.compare.planted import key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.bulk.originals import Originals
    from proxy.stores.base import Blob
    from tests.proxy.conftest import Workshop

pytestmark = pytest.mark.anyio

LAYOUT = SiteLayout(sizes=("small", "medium"))


async def keys(originals: Originals, *, after: str = "") -> list[str]:
    return [one async for one in originals.walk(after=after)]


def tree(path: Path, count: int) -> list[str]:
    names = [key(number) for number in range(count)]
    for name in names:
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(b"an original")
    return sorted(names)


async def test_only_originals_are_walked_those_that_changed_since_and_behind_a_key(workshop: Workshop) -> None:
    names = [f"gall/{number}_original.jpg" for number in range(5)]
    for name in ("gall/2_small.jpg", "gall/readme.txt", "other/1_original.jpg", *names):
        blob = await workshop.upload(name)
    originals = ListedOriginals(store=workshop.store, layout=workshop.derivatives.recipe.layout, prefixes=("gall/",))
    assert await keys(originals) == names
    assert await keys(originals, after=names[2]) == names[3:]
    assert await count(originals) == 5
    assert 1 <= await count(replace(originals, since=blob.modified)) <= 5
    assert await count(replace(originals, since=blob.modified.replace(year=9000))) == 0


class Unreadable(MemoryStore):
    """A store in which one folder of each prefix cannot be read."""

    async def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        async for blob in super().list(prefix, after=after):
            yield blob
        raise UnreadableFolders([f"{prefix}secret/"])


async def test_several_prefixes_are_walked_as_one_also_behind_a_key_and_past_what_cannot_be_read(
    workshop: Workshop,
) -> None:
    store, names = Unreadable(), [f"{folder}/{number}_original.jpg" for folder in ("a", "b") for number in (1, 2)]
    for name in (*names, "aa/1_original.jpg", "c/1_original.jpg"):
        await store.put(name, workshop.photo, Attributes())
    originals = ListedOriginals(store=store, layout=LAYOUT, prefixes=("a/", "b/"))
    for after, expected in (("", names), (names[0], names[1:]), (names[2], names[3:])):
        walk = Walk(originals, after=after)
        assert [await walk.next() for _ in expected] == expected
        with pytest.raises(UnreadableFolders) as fault:
            await walk.next()
        assert fault.value.folders == ("a/secret/", "b/secret/")


async def test_the_originals_of_a_file_of_failures_are_walked_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    names = (b"gall/b", b"other", b"gall/a", b"gall/b", b"gall/c")
    path.write_bytes(b"\n".join(b'{"key": "%s"}' % name for name in names) + b'\n{"key": "gal')
    originals = FailedOriginals(path=path, prefixes=("gall/",))
    assert [key async for key in originals.walk()] == ["gall/b", "gall/a", "gall/c"]
    assert [key async for key in originals.walk(after="gall/a")] == ["gall/c"]
    assert await count(FailedOriginals(path=path)) == 4
    assert [key async for key in originals.walk(after="gone")] == ["gall/b", "gall/a", "gall/c"]


async def test_the_last_line_of_a_file_of_failures_needs_no_end(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    path.write_bytes(b'{"key": "gall/a"}\n{"key": "gall/b"}')
    assert [key async for key in FailedOriginals(path=path).walk()] == ["gall/a", "gall/b"]


async def test_a_file_of_keys_names_originals(tmp_path: Path) -> None:
    names = [key(number) for number in (3, 1, 2)]
    (tmp_path / "keys").write_text("\n".join([*names, "gall/1/1_small.jpg", ""]))
    originals = FileOriginals(path=tmp_path / "keys", layout=LAYOUT)
    assert await keys(originals) == names
    assert await keys(originals, after=names[0]) == names[1:]


async def test_a_sample_is_the_same_for_the_same_seed_in_whatever_order_they_come(tmp_path: Path) -> None:
    names = tree(tmp_path / "tree", 40)
    listed = ListedOriginals(store=FileStore(tmp_path / "tree"), layout=LAYOUT)
    (tmp_path / "keys").write_text("\n".join(reversed(names)))
    chosen = (await sample(listed, 10, seed=7)).chosen
    assert chosen == (await sample(FileOriginals(path=tmp_path / "keys", layout=LAYOUT), 10, seed=7)).chosen
    assert len(set(chosen)) == 10
    assert set(chosen) < set(names)
    assert chosen != (await sample(listed, 10, seed=8)).chosen
    assert len((await sample(listed, 99, seed=7)).chosen) == 40
    assert set(chosen) < set((await sample(listed, 20, seed=7)).chosen), "a larger sample holds the smaller one"


async def test_half_a_line_that_a_lost_machine_left_is_no_failure_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    append_failure(path, FailedOriginal(key="a"))
    with path.open("ab") as file:
        file.write(b'{"key": "b')
    assert [key async for key in failed_keys(path)] == ["a"]
    append_failure(path, FailedOriginal(key="c"))
    assert [key async for key in failed_keys(path)] == ["a", "c"]


async def test_a_file_that_is_none_of_failures_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    path.write_bytes(b'{"key": "a"}\nnonsense\n')
    with pytest.raises(CannotStart, match="line 2"):
        assert [key async for key in failed_keys(path)]
    with pytest.raises(CannotStart, match="cannot read"):
        assert [key async for key in failed_keys(tmp_path / "nowhere")]
