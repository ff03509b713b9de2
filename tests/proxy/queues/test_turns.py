"""Taking turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.queues.turns import turn

if TYPE_CHECKING:
    from pathlib import Path


def test_a_turn_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with turn(tmp_path / "lock") as mine, turn(tmp_path / "lock", seconds=0.01) as another:
        assert (mine, another) == (True, False)
    with turn(tmp_path / "lock") as later:
        assert later
