"""Tests of lock files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proxy.system import lockfiles

if TYPE_CHECKING:
    from pathlib import Path


def test_an_owner_is_alive_until_it_lets_go(tmp_path: Path) -> None:
    owner = lockfiles.acquire_process_lock(tmp_path / "owners")
    assert lockfiles.is_alive(tmp_path / "owners", owner.name)
    owner.release()
    assert not lockfiles.is_alive(tmp_path / "owners", owner.name)


def test_a_lock_file_that_nobody_holds_is_a_dead_owner(tmp_path: Path) -> None:
    (tmp_path / "somebody").touch()
    assert not lockfiles.is_alive(tmp_path, "somebody")


def test_the_dead_are_buried_and_the_living_are_not(tmp_path: Path) -> None:
    owner = lockfiles.acquire_process_lock(tmp_path)
    dead = lockfiles.acquire_process_lock(tmp_path)
    os.close(dead.descriptor)
    lockfiles.remove_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [owner.name]
    owner.release()


def test_what_is_no_lock_file_of_ours_is_never_removed(tmp_path: Path) -> None:
    name = "0123456789abcdef" * 2
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "notes.txt").touch()
    (tmp_path / "locks" / name).symlink_to(tmp_path / "locks" / "notes.txt")
    os.mkfifo(tmp_path / "locks" / name[::-1])
    lockfiles.remove_stale(tmp_path / "locks")
    assert {path.name for path in (tmp_path / "locks").iterdir()} == {"notes.txt", name, name[::-1]}
    assert lockfiles.is_alive(tmp_path / "locks", name)
