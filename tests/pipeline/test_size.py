"""Sizes reject invalid recipes and compute exact dimensions."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.size import MAX_SIDE, RENDERING_VERSION, Size, render_profile

sides = st.integers(1, 70_000)
boxes = st.integers(1, MAX_SIDE)


def limit(width: int, height: int | None = None) -> Size:
    return Size(name="any", width=width, height=height)


def fill(width: int, height: int) -> Size:
    return Size(name="any", width=width, height=height, fit="fill")


@pytest.mark.parametrize(
    ("size", "original", "expected"),
    [
        (limit(300), (4000, 3000), (300, 225)),
        (limit(300), (200, 100), (200, 100)),
        (limit(2000), (6000, 4899), (2000, 1633)),
        (limit(800), (1200, 800), (800, 533)),
        (limit(2), (4, 3), (2, 2)),
        (limit(300), (30_000, 20), (300, 1)),
        (limit(300), (1, 65_500), (1, MAX_SIDE)),
        (limit(300, 300), (3000, 4000), (225, 300)),
        (fill(200, 200), (4000, 3000), (200, 200)),
        (fill(200, 200), (250, 100), (100, 100)),
        (fill(200, 100), (150, 150), (150, 75)),
        (fill(200, 200), (1, 1), (1, 1)),
    ],
)
def test_dimensions_are_exact(size: Size, original: tuple[int, int], expected: tuple[int, int]) -> None:
    width, height = original
    assert size.dimensions(width=width, height=height) == expected


@given(sides, sides, boxes, st.none() | boxes)
def test_limit_never_enlarges_and_stays_in_its_box(width: int, height: int, box: int, box_height: int | None) -> None:
    across, down = limit(box, box_height).dimensions(width=width, height=height)
    assert 1 <= across <= min(width, box)
    assert 1 <= down <= min(height, box_height or MAX_SIDE)


@given(sides, sides, boxes)
def test_limit_keeps_the_aspect_to_half_a_pixel(width: int, height: int, box: int) -> None:
    across, down = limit(box).dimensions(width=width, height=height)
    if across == box < width and down < MAX_SIDE:
        assert abs(down - Fraction(height * box, width)) <= Fraction(1, 2) or down == 1


@given(sides, sides, boxes, boxes)
def test_fill_hits_the_box_wherever_the_original_covers_it(width: int, height: int, across: int, down: int) -> None:
    given_size = fill(across, down).dimensions(width=width, height=height)
    if width >= across and height >= down:
        assert given_size == (across, down)
    assert given_size[0] <= min(width, across)
    assert given_size[1] <= min(height, down)


@given(sides, sides, boxes, boxes)
def test_what_fill_crops_is_covered_and_never_enlarged(width: int, height: int, across: int, down: int) -> None:
    size = fill(across, down)
    box = size.dimensions(width=width, height=height)
    cover = size.cover(width=width, height=height)
    assert box[0] <= cover[0] <= width
    assert box[1] <= cover[1] <= height


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="lower case") as refused:
        Size(name="No Good", width=0, height=20_000, fit="fill", quality=101)
    assert str(refused.value).count(";") == 3
    for part in ("width 0", "height 20000", "quality 101"):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    "table",
    [
        {"name": "original", "width": 1},
        {"name": "", "width": 1},
        {"name": "a" * 33, "width": 1},
        {"name": "a", "width": 1, "fit": "fill"},
        {"name": "a", "width": 1, "fit": "stretch"},
        {"name": "a", "width": 1, "position": "left"},
        {"name": "a", "width": 1, "format": "bmp"},
        {"name": "a", "width": 1.5},
        {"name": "a"},
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, Size)


def test_a_table_of_a_sizes_file_becomes_a_size() -> None:
    assert msgspec.convert({"width": 300, "name": "small"}, Size) == Size(name="small", width=300)


def test_a_profile_changes_with_whatever_decides_the_bytes_and_with_nothing_else() -> None:
    small, xlarge = Size(name="small", width=300), Size(name="xlarge", width=2000)
    medium, large = Size(name="medium", width=800), Size(name="large", width=1200)
    profile = render_profile(small, among=[small, xlarge], libvips="8.18")
    assert profile != render_profile(small, among=[small, large, xlarge], libvips="8.18")
    outermost = render_profile(xlarge, among=[xlarge, small], libvips="8.18")
    assert outermost == render_profile(xlarge, among=[xlarge, large, medium], libvips="8.18")
    assert profile == render_profile(small, among=[xlarge, small, Size(name="half", width=600)], libvips="8.18")
    assert profile != render_profile(small, among=[xlarge, small, medium], libvips="8.18")
    assert profile != render_profile(small, among=[small, xlarge], libvips="8.19")
    assert profile != render_profile(small, among=[small, Size(name="huge", width=3000)], libvips="8.18")
    sharper = Size(name="small", width=300, quality=90)
    assert profile != render_profile(sharper, among=[sharper, xlarge], libvips="8.18")


def test_one_rendering_version_is_in_the_profile_of_every_recipe() -> None:
    sizes = [Size(name=name, width=width) for name, width in (("medium", 800), ("large", 1200), ("xlarge", 2000))]
    for among in (sizes, sizes[:1]):
        assert render_profile(sizes[0], among=among, libvips="8.18").startswith(f"{RENDERING_VERSION}-8.18-")
    released = ["930c5932", "a5fc6f34", "c5e30fdc"]
    profiles = [render_profile(size, among=sizes, libvips="8.18") for size in sizes]
    assert [profile.rsplit("-")[-1] for profile in profiles] == released, "the recipe itself is written as before"
