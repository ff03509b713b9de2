"""Rows of pictures as CSV and as SQL, imported by real databases."""

from __future__ import annotations

import csv
import io
import sqlite3
from typing import TYPE_CHECKING

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.bulk.export.row_formats import COLUMNS, CsvRows, SqlRows, check_names
from proxy.derivatives.picture.picture import PictureDescription, PicturePlaceholder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers import PostgresServer

HOSTILE = (
    "gall/1/1_original.jpg",
    "gall/1/'; DROP TABLE image; --_original.jpg",
    "gall/1/\\'; DROP TABLE image; --_original.jpg",
    "gall/1/\\_original.jpg\\",
    "gall/1/''_original.jpg",
    'gall/1/"quoted", and a comma_original.jpg',
    "gall/1/$$ $1 %s :name ?_original.jpg",
    "\\.",
    "gall/1/ü 花 🌰\u2028\u00a0_original.jpg",
    "=1+1",
    " gall/1/spaces_original.jpg ",
)

TABLE = (
    "CREATE TABLE image (path text PRIMARY KEY, width integer, height integer, color text, lqip text, thumbhash text,"
    " picture text)"
)
STORED = "SELECT path, width, height, color, lqip, thumbhash, picture FROM image ORDER BY path"

CSV, SQL = CsvRows(key_column="path"), SqlRows(table="image", key_column="path")


def picture(key: str, *, color: str | None = "#8a96ad") -> PictureDescription:
    return PictureDescription(
        key=key,
        width=4000,
        height=3000,
        format="jpeg",
        animated=False,
        color=color,
        placeholder=PicturePlaceholder(lqip=color and "data:image/webp;base64,AA==", thumbhash=color and "GyYKNYxn"),
        sizes=(),
        srcset={},
    )


PICTURES = [*(picture(key) for key in HOSTILE), picture("gall/1/unknown_original.jpg", color=None)]


def text(rows: CsvRows | SqlRows, pictures: Sequence[PictureDescription]) -> str:
    return rows.head + "".join(rows.line(one) for one in pictures) + rows.end


def expected(one: PictureDescription) -> tuple[object, ...]:
    json = msgspec.json.encode(one).decode()
    return (one.key, one.width, one.height, one.color, one.placeholder.lqip, one.placeholder.thumbhash, json)


EXPECTED = sorted(map(expected, PICTURES), key=str)


def test_sqlite_runs_the_sql_whatever_a_key_contains() -> None:
    database = sqlite3.connect(":memory:")
    database.execute(TABLE)
    database.executemany("INSERT INTO image (path) VALUES (?)", [(one.key,) for one in PICTURES])
    database.executescript(text(SQL, PICTURES))
    assert sorted(database.execute(STORED), key=str) == EXPECTED
    database.close()


@pytest.mark.needs("postgres", "postgresql")
def test_postgresql_runs_the_sql_and_imports_the_csv_whatever_a_key_contains(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.make_database(), autocommit=True) as connection:
        connection.execute(TABLE.encode())
        with connection.cursor().copy("COPY image FROM STDIN WITH (FORMAT csv, HEADER)") as copy:
            copy.write(text(CSV, PICTURES).encode())
        assert sorted(connection.execute(STORED.encode()).fetchall(), key=str) == EXPECTED
        connection.execute("UPDATE image SET width = NULL, height = NULL, color = NULL, lqip = NULL, thumbhash = NULL")
        connection.execute("ALTER TABLE image ALTER picture TYPE jsonb USING NULL")
        connection.execute(text(SQL, PICTURES).encode())
        connection.execute("ALTER TABLE image ALTER picture TYPE text USING picture ->> 'key'")
        stored = connection.execute(STORED.encode()).fetchall()
        assert sorted(stored, key=str) == sorted(((*one[:-1], one[0]) for one in EXPECTED), key=str)


def test_sql_that_was_cut_off_changes_nothing() -> None:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute(TABLE)
    database.execute("INSERT INTO image (path) VALUES (?)", [PICTURES[0].key])
    database.executescript(text(SQL, PICTURES).removesuffix(SQL.end))
    database.rollback()
    assert list(database.execute("SELECT width FROM image")) == [(None,)]
    database.close()


@given(key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50))
def test_each_row_of_csv_is_one_line_with_its_values(key: str) -> None:
    line = CSV.line(picture(key))
    assert line.count("\n") == 1
    (row,) = csv.reader(io.StringIO(line))
    assert (row[0], len(row)) == (key, 1 + len(COLUMNS))
    assert msgspec.json.decode(row[-1], type=PictureDescription) == picture(key)


@pytest.mark.parametrize(
    ("table", "key_column"),
    [
        ("image; DROP TABLE image", "path"),
        ("a.b.c", "path"),
        ("", "path"),
        ("image", 'pa"th'),
        ("image", ""),
        ("ï", "path"),
    ],
)
def test_names_that_are_not_plain_are_refused(table: str, key_column: str) -> None:
    with pytest.raises(ValueError, match="is not a name of letters"):
        check_names(table, key_column)


def test_a_table_may_have_a_schema() -> None:
    check_names("public.image", "path")
