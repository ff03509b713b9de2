"""Tables are for people, who copy what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.cli import tables
from proxy.cli.tables import new_table, print_tables

if TYPE_CHECKING:
    import pytest

ID = "872ee9b5d8ab5f29ca7dc1bd1b9391ff"
KEY = "gall/" + "a-long-name-" * 9 + "1_1_original.jpg"


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    table = new_table("id", "key", "error", whole=("id", "error"))
    table.add_row(ID, KEY, "taken-down")
    print_tables(table)
    return capsys.readouterr().out.splitlines()


def test_ids_stay_in_one_piece_and_what_is_too_long_is_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "WIDE", 80)
    head, *rows = printed(capsys)
    assert head.split() == ["id", "key", "error"]
    assert ID in rows[0]
    assert "taken-down" in rows[0]
    assert "".join(row.removeprefix(ID).replace("taken-down", "").strip() for row in rows) == KEY
    assert max(map(len, [head, *rows])) <= 80


def test_elsewhere_a_row_is_a_line_without_blanks_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys)
    assert [line.split() for line in lines] == [["id", "key", "error"], [ID, KEY, "taken-down"]]
    assert lines == [line.rstrip() for line in lines]
