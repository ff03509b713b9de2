"""A file of rows has its name only when it is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.bulk.export.row_file import PARTIAL, RowFile
from proxy.bulk.export.row_formats import SqlRows
from proxy.errors import CannotStart, GaveUp
from tests.proxy.bulk.export.test_row_formats import picture

if TYPE_CHECKING:
    from pathlib import Path

ROWS = SqlRows(table="image", key_column="path")


def test_a_complete_file_replaces_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "pictures.sql"
    path.write_text("earlier")
    file = RowFile(path, ROWS, option="--sql")
    with file.opened():
        file.write(picture("a"))
        assert path.read_text() == "earlier"
        file.complete()
    assert path.read_text() == ROWS.head + ROWS.line(picture("a")) + ROWS.end
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_that_is_not_completed_is_discarded(tmp_path: Path) -> None:
    path = tmp_path / "pictures.sql"
    path.write_text("earlier")
    file = RowFile(path, ROWS, option="--sql")
    with file.opened():
        file.write(picture("a"))
    assert (path.read_text(), [*tmp_path.iterdir()]) == ("earlier", [path])


def test_a_full_disk_ends_the_run_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / f"pictures.sql{PARTIAL}").symlink_to("/dev/full")
    file = RowFile(tmp_path / "pictures.sql", ROWS, option="--sql")
    with file.opened():
        file.write(picture("a"))
        with pytest.raises(GaveUp, match="No space left"):
            file.complete()
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(CannotStart, match="nowhere"),
        RowFile(tmp_path / "nowhere" / "a.sql", ROWS, option="--sql").opened(),
    ):
        pass
