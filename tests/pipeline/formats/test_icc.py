"""A profile of a screen with sRGB's curve is converted by a matrix, to the colours that a colour library gives."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
import pyvips

from loadtest.paint import Photograph, pixels
from pipeline.formats import icc
from pipeline.image import colour, vips
from pipeline.kernel.reduction import WantedPicture, reduce
from pipeline.size import Size
from tests.pipeline.rendering import render_into

if TYPE_CHECKING:
    from pathlib import Path

P3, BT2020 = 12, 9
SIDES = (160, 120)


def test_the_matrix_gives_the_colours_of_a_colour_library_to_one_level() -> None:
    profile = icc.of_primaries(P3)
    noise = Random(1).randbytes(SIDES[0] * SIDES[1] * 3)  # noqa: S311 - reproducible pixels, not cryptography
    picture = vips.with_profile(vips.from_bytes(noise, SIDES, bands=3), profile)
    whole = [WantedPicture(sides=SIDES, source=None)]
    (made,) = reduce(SIDES, 3, whole, [bytearray(noise)], matrix=colour.matrix_to_srgb(picture))
    found = vips.from_bytes(bytes(made), SIDES, bands=3)
    assert (found - colour.to_srgb(picture)).abs().max() <= 1
    assert (found - picture).abs().max() > 20, "the gamuts differ"


def test_grey_stays_grey() -> None:
    matrix = icc.matrix_to_srgb(icc.of_primaries(P3))
    assert matrix
    assert [sum(matrix[row : row + 3]) for row in (0, 3, 6)] == [16_384] * 3


def other_curve(profile: bytes) -> bytes:
    place = profile.index(b"para")
    return profile[: place + 12] + (2 << 16).to_bytes(4, "big") + profile[place + 16 :]


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(icc.of_primaries(BT2020), id="numbers that are too large"),
        pytest.param(other_curve(icc.of_primaries(P3)), id="another curve"),
        pytest.param(icc.of_primaries(P3).replace(b"wtpt", b"A2B0"), id="a table of colours"),
        pytest.param(icc.of_primaries(P3).replace(b"gXYZ", b"gABC"), id="a primary is missing"),
        pytest.param(icc.of_primaries(P3).replace(b"rTRC", b"rABC"), id="a curve is missing"),
        pytest.param(b"", id="empty"),
    ],
)
def test_other_profiles_have_no_matrix(profile: bytes) -> None:
    assert icc.matrix_to_srgb(profile) is None


def test_a_damaged_profile_has_a_matrix_or_none_and_is_no_error() -> None:
    profile, random = icc.of_primaries(P3), Random(2)  # noqa: S311 - reproducible damage, not cryptography
    for _ in range(2000):
        damaged = bytearray(profile[: random.randint(0, len(profile))])
        for _ in range(random.randint(0, 3)):
            if damaged:
                damaged[random.randrange(len(damaged))] = random.randrange(256)
        matrix = icc.matrix_to_srgb(bytes(damaged))
        assert matrix is None or all(abs(number) < 32_768 for number in matrix)


def test_a_size_that_keeps_the_gamut_leaves_the_others_converted(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    wide = pixels(Photograph(width=400, height=300)).copy(interpretation="srgb")
    wide.icc_transform("p3", input_profile="srgb").write_to_file(str(original), profile="p3")
    medium, small = Size(name="m", width=200), Size(name="s", width=100, gamut="keep")
    (alone,) = render_into(tmp_path / "alone", original, medium).derivatives
    beside, kept = render_into(tmp_path / "both", original, medium, small).derivatives
    assert alone.profile != beside.profile
    pictures = [pyvips.Image.new_from_file(one.path) for one in (alone, beside)]
    assert (pictures[0] - pictures[1]).abs().max() <= 2
    assert not any(colour.profile(picture) for picture in pictures)
    assert colour.profile(pyvips.Image.new_from_file(kept.path))
