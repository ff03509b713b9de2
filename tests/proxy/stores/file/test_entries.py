"""Tests of files that a file system describes in odd ways: one of them must not end a listing."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreRefused, UnreadableFolders
from proxy.stores.file.paths import walk
from tests.proxy.stores.file.file_stores import started

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
"""A folder in memory, whose files may have any time; a disk with ext4 stores none after the year 2446."""


@pytest.fixture
def wide_times() -> Iterator[Path]:
    """Yield an empty folder whose file system stores any time."""
    if not MEMORY.is_dir():
        pytest.skip("needs a tmpfs at /dev/shm")
    with TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("seconds", "year"), [(2**40, 9999), (-(2**40), 1), (-1, 1969), (253402300799, 9999), (253402300800, 9999)]
)
async def test_a_time_beyond_the_calendar_becomes_the_nearest_in_it(wide_times: Path, seconds: int, year: int) -> None:
    store = await started(wide_times / "root")
    for name in ("a", "b", "c"):
        (wide_times / "root" / name).write_bytes(b"bytes")
    os.utime(wide_times / "root" / "b", (seconds, seconds))
    assert [blob.key async for blob in store.list()] == ["a", "b", "c"]
    head = await store.head("b")
    assert head is not None
    assert (head.modified.year, head.modified.tzinfo) == (year, UTC)
    assert (await store.fetch("b", wide_times / "copy", max_bytes=5)).modified == head.modified


async def test_the_times_of_usual_files_are_exact(tmp_path: Path) -> None:
    store = await started(tmp_path)
    (tmp_path / "a").write_bytes(b"bytes")
    os.utime(tmp_path / "a", (1_700_000_000, 1_700_000_000))
    head = await store.head("a")
    assert head is not None
    assert head.modified == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_an_entry_that_cannot_be_read_is_listed_without_a_status(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"bytes")
    listed = walk(tmp_path, "", unreadable=[])
    keys = [next(listed)[0]]
    (tmp_path / "b").unlink()
    (tmp_path / "b").symlink_to(tmp_path / "c")
    keys += [key for key, _ in listed]
    assert keys == ["a", "c"]  # a link is no blob


@pytest.fixture
def locked_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a folder that no user can read, not even root, for whom permissions do not count."""
    scan = os.scandir

    def refuse(path: bytes) -> object:
        if path.endswith(b"/locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return Path("locked")


async def test_a_folder_that_cannot_be_read_is_named_when_everything_else_is_listed(
    tmp_path: Path, locked_folder: Path
) -> None:
    store = await started(tmp_path)
    for folder in (Path("a"), locked_folder, Path("z")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(b"bytes")
    found: list[str] = []

    async def collect() -> None:
        async for blob in store.list():
            found.append(blob.key)  # noqa: PERF401 - the error comes after what was listed

    with pytest.raises(UnreadableFolders, match="'locked/'") as refusal:
        await collect()
    assert found == ["a/file", "z/file"]
    assert refusal.value.folders == ("locked/",)
    assert [blob.key async for blob in store.list("z/")] == ["z/file"]
    assert [blob.key async for blob in store.list(after="m")] == ["z/file"]


async def test_a_root_folder_that_cannot_be_read_is_a_fault_of_the_store(tmp_path: Path, locked_folder: Path) -> None:
    store = await started(tmp_path / locked_folder)
    with pytest.raises(StoreRefused, match="rejected"):
        [blob.key async for blob in store.list()]
