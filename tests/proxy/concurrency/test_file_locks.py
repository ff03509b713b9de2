"""Tests of locks on files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.concurrency.file_locks import acquire, exclusive

if TYPE_CHECKING:
    from pathlib import Path


def test_a_turn_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock") as mine, exclusive(tmp_path / "lock", seconds=0.01) as another:
        assert (mine, another) == (True, False)
    with exclusive(tmp_path / "lock") as later:
        assert later


def test_those_who_share_a_lock_keep_out_who_wants_it_alone(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("ab") as one, (tmp_path / "lock").open("ab") as two:
        assert acquire(one.fileno(), shared=True)
        assert acquire(two.fileno(), shared=True)
        with exclusive(tmp_path / "lock", seconds=0.01) as mine:
            assert not mine
