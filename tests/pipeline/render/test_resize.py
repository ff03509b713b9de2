"""Every image is shrunk from a larger one, and one as large as the original is identical to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pyvips
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loadtest.paint import Photograph, paint, pixels
from pipeline.decode.original import open_original
from pipeline.image.transfer_curve import to_linear
from pipeline.render.resize import ResizeStep, resize_all, resize_frame
from pipeline.size import STEP_WIDTH

if TYPE_CHECKING:
    from pathlib import Path


def test_a_picture_as_large_as_the_original_is_left_alone_to_the_last_bit(tmp_path: Path) -> None:
    photograph = Photograph(width=1300, height=900, noise=30)
    original = tmp_path / "original.png"
    paint(original, photograph)
    first, *_ = resize_all(open_original(original), [ResizeStep(sides=(1300, 900), is_source=True)])
    assert (first - pixels(photograph)).abs().max() == 0


def test_nothing_is_read_when_nothing_is_asked_for(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    paint(original, Photograph(width=30, height=20))
    assert list(resize_all(open_original(original), [])) == []


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(asked=[1500, 1])
@example(asked=[234, 1])
@given(asked=st.lists(st.integers(1, 1500), min_size=1, max_size=5))
def test_every_rung_has_its_sides_and_the_colour_of_the_original(tmp_path: Path, asked: list[int]) -> None:
    original = tmp_path / "original.png"
    if not original.exists():
        grey = pyvips.Image.black(1600, 1200, bands=3) + 100
        grey.cast("uchar").copy(interpretation="srgb").write_to_file(str(original))
    steps = [
        ResizeStep(sides=(side, side * 3 // 4 or 1), is_source=side > STEP_WIDTH)
        for side in sorted(asked, reverse=True)
    ]
    for step, picture in zip(steps, resize_all(open_original(original), steps), strict=True):
        assert (picture.width, picture.height) == step.sides
        assert abs(picture.avg() - 100) <= 1 + len(steps), "of alpha and 16 bits every step rounds once"


def test_a_frame_is_shrunk_in_light() -> None:
    lines = pyvips.Image.new_from_array([[0, 255]]).cast("uchar").replicate(100, 100).copy(interpretation="b-w")
    assert abs(resize_frame(lines, (50, 50)).avg() - 188) <= 1


def test_bright_points_keep_their_light_beside_black_ones() -> None:
    """Between its two passes a kernel overshoots black and white; clipping it would lose light."""
    points = (pyvips.Image.gaussnoise(300, 300, seed=1) > 140).copy(interpretation="b-w")
    wanted = (points / 255).resize(110 / 300, gap=0)
    wanted = (wanted < 0).ifthenelse(0, (wanted > 1).ifthenelse(1, wanted))
    seen = resize_frame(points, (110, 110)).maplut(
        pyvips.Image.new_from_array([[to_linear(level / 255) for level in range(256)]])
    )
    assert (seen - wanted).abs().avg() < 0.004
