"""Who is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy import owners

if TYPE_CHECKING:
    from pathlib import Path


def test_an_owner_is_alive_until_it_lets_go(tmp_path: Path) -> None:
    owner = owners.claim(tmp_path / "owners")
    assert owners.is_alive(tmp_path / "owners", owner.name)
    owner.release()
    assert not owners.is_alive(tmp_path / "owners", owner.name)


def test_a_lock_file_that_nobody_holds_is_a_dead_owner(tmp_path: Path) -> None:
    (tmp_path / "somebody").touch()
    assert not owners.is_alive(tmp_path, "somebody")


def test_the_dead_are_buried_and_the_living_are_not(tmp_path: Path) -> None:
    owner = owners.claim(tmp_path)
    (tmp_path / "somebody").touch()
    owners.bury(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [owner.name]
    owner.release()
