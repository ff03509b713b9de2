"""The boxes of HEIC and AVIF are read within bounds, and every part of the image must lie in the file."""

from __future__ import annotations

import random
import struct
import time
from io import BytesIO
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from pipeline.errors import Corrupt, Refused, UnsupportedFormat
from pipeline.formats.heif import boxes, main_image
from tests.pipeline.formats.heifs import Part, box, coded, compose, full_box, grid, size, tiled, write

if TYPE_CHECKING:
    from pathlib import Path

GREY = PIL.Image.new("L", (64, 64), 128)
MOST_SECONDS = 5


@pytest.fixture(scope="module")
def tile() -> Part:
    return coded(GREY.convert("RGB"), "heic")


def test_a_grid_is_read_with_its_tiles_in_their_order(tmp_path: Path) -> None:
    picture = main_image.read(write(tmp_path / "a", tiled(PIL.Image.new("RGB", (300, 200)), 128, "heic"), "heic"))
    assert (picture.sides, picture.orientation, picture.alpha, picture.crop) == ((300, 200), 1, None, None)
    assert (picture.colour.columns, picture.colour.tile_sides, len(picture.colour.tiles)) == (3, (128, 128), 6)
    starts = [tile.extents[0].start for tile in picture.colour.tiles]
    assert starts == sorted(starts)


def test_one_tile_may_stand_at_several_places(tmp_path: Path, tile: Part) -> None:
    layout, *_ = grid([tile] * 4, 2, (128, 128))
    parts = [Part(kind=b"grid", data=layout.data, properties=(size(128, 128),), references={b"dimg": [1] * 4}), tile]
    assert len(main_image.read(write(tmp_path / "a", parts, "heic")).colour.tiles) == 4


def test_every_part_must_lie_in_the_file(tmp_path: Path, tile: Part) -> None:
    """The last part is an EXIF block, which no pixel depends on: the file is truncated all the same."""
    content = compose([tile, Part(kind=b"Exif", data=bytes(100))], "heic")
    path = tmp_path / "a"
    path.write_bytes(content)
    main_image.read(path)
    path.write_bytes(content[:-1])
    with pytest.raises(Corrupt, match="beyond its end"):
        main_image.read(path)


@pytest.mark.parametrize("kind", [b"jpeg", b"iovl", b"iden", b"unci", b"mime"])
def test_other_kinds_of_images_are_refused_as_unsupported(tmp_path: Path, tile: Part, kind: bytes) -> None:
    parts = [Part(kind=kind, data=tile.data, properties=tile.properties, references={b"dimg": [1]}), tile]
    with pytest.raises(UnsupportedFormat, match="not supported"):
        main_image.read(write(tmp_path / "a", parts, "heic"))


def test_a_grid_of_grids_is_refused_without_recursion(tmp_path: Path) -> None:
    inner = Part(
        kind=b"grid", data=struct.pack(">BBBBHH", 0, 0, 0, 0, 64, 64), properties=(size(64, 64),),
        references={b"dimg": [0]},
    )  # fmt: skip
    with pytest.raises(UnsupportedFormat):
        main_image.read(write(tmp_path / "a", [inner], "heic"))


@pytest.mark.parametrize(
    ("rows", "columns", "count"), [(256, 256, 4), (1, 2, 1), (2, 2, 3), (1, 1, 2), (65, 64, 65 * 64)]
)
def test_a_grid_with_another_number_of_tiles_is_refused(
    tmp_path: Path, tile: Part, rows: int, columns: int, count: int
) -> None:
    sides = (64 * columns, 64 * rows)
    layout = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *sides)
    parts = [Part(kind=b"grid", data=layout, properties=(size(*sides),), references={b"dimg": [1] * count}), tile]
    with pytest.raises(Corrupt, match="do not match"):
        main_image.read(write(tmp_path / "a", parts, "heic"))


def test_a_grid_that_is_longer_than_a_grid_can_be_is_refused(tmp_path: Path, tile: Part) -> None:
    layout = struct.pack(">BBBBHH", 0, 0, 0, 1, 128, 64) + bytes(5)
    parts = [Part(kind=b"grid", data=layout, properties=(size(128, 64),), references={b"dimg": [1, 1]}), tile]
    with pytest.raises(Corrupt, match="grid is too long"):
        main_image.read(write(tmp_path / "a", parts, "heic"))


def of(meta: bytes) -> BytesIO:
    return BytesIO(box(b"ftyp", b"heic" + bytes(4)) + full_box(b"meta", meta))


SOUND = {
    b"pitm": struct.pack(">H", 1),
    b"iloc": b"\x44\0" + struct.pack(">HHHHII", 1, 1, 0, 1, 0, 8),
    b"iinf": struct.pack(">H", 1) + full_box(b"infe", struct.pack(">HH4sB", 1, 0, b"hvc1", 0), version=2),
}
PROPERTIES = box(b"iprp", box(b"ipco", size(64, 64)) + full_box(b"ipma", struct.pack(">IHBB", 1, 1, 1, 1)))


def described(**changed: bytes) -> BytesIO:
    boxes = {**SOUND, **{kind.encode(): content for kind, content in changed.items()}}
    return of(b"".join(full_box(kind, content) for kind, content in boxes.items()) + PROPERTIES)


def test_the_sound_description_of_these_tests_is_read() -> None:
    contents = boxes.read(described())
    assert contents.items[1].extents == (boxes.Extent(0, 8),)
    assert [one.kind for one in contents.properties_of(contents.items[1])] == [b"ispe"]


@pytest.mark.parametrize(
    "changed",
    [
        {"iloc": b"\x44\0" + struct.pack(">H", 65_535)},
        {"iloc": b"\x44\0" + struct.pack(">HHHH", 1, 1, 0, 65_535)},
        {"iloc": b"\x88\x88" + struct.pack(">HHHQHQQ", 1, 1, 0, 1 << 63, 1, 1 << 63, 1 << 63)},
        {"iloc": b"\x00\x00" + struct.pack(">H", 10_000) + 10_000 * struct.pack(">HHH", 1, 0, 65_535)},
        {"iinf": struct.pack(">H", 65_535)},
        {"iinf": struct.pack(">H", 1) + struct.pack(">I4s", 7, b"infe") * 5},
        {"iinf": struct.pack(">H", 1) + struct.pack(">I4s", 1 << 31, b"infe")},
        {"iref": struct.pack(">I4sHH", 12, b"dimg", 1, 65_535)},
        {"pitm": b""},
    ],
)
def test_counts_and_lengths_are_bounded(changed: dict[str, bytes]) -> None:
    started = time.monotonic()
    with pytest.raises(Corrupt):
        boxes.read(described(**changed))
    assert time.monotonic() - started < MOST_SECONDS


@pytest.mark.parametrize(
    "file",
    [
        BytesIO(),
        BytesIO(b"\0\0\0\x18ftypheic"),
        BytesIO(struct.pack(">I4s", 2, b"meta") * 1000),
        BytesIO(struct.pack(">I4s", 8, b"free") * 100_000),
        BytesIO(struct.pack(">I4sQ", 1, b"meta", 3)),
        BytesIO(struct.pack(">I4sQ", 1, b"meta", 1 << 63)),
        of(box(b"iprp", b"")),
        of(full_box(b"pitm", b"\0\1") * 400),
        of(b"".join(box(kind, bytes(2 << 20)) for kind in (b"pitm", b"iinf", b"iloc", b"iprp"))),
    ],
)
def test_boxes_that_are_missing_too_many_or_too_large_are_refused(file: BytesIO) -> None:
    with pytest.raises(Corrupt):
        boxes.read(file)


def test_any_damage_to_the_boxes_is_answered_in_time(tmp_path: Path) -> None:
    content = compose(tiled(PIL.Image.new("RGB", (300, 200)), 128, "heic"), "heic")
    dice, path = random.Random(1), tmp_path / "a"  # noqa: S311 - reproducible mutants, not cryptography
    started = time.monotonic()
    for _ in range(500):
        mutant = bytearray(content)
        for _ in range(dice.choice([1, 4, 16])):
            mutant[dice.randrange(24, 1500) % len(mutant)] = dice.choice([0, 1, 255, dice.randrange(256)])
        path.write_bytes(mutant)
        try:
            picture = main_image.read(path)
        except Refused:
            continue
        assert all(
            extent.start + extent.length <= len(mutant) for tile in picture.colour.tiles for extent in tile.extents
        )
    assert time.monotonic() - started < 500 * MOST_SECONDS
