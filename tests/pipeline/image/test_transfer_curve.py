"""Averaging keeps the brightness, and pixels that are not averaged keep their values."""

from __future__ import annotations

from bisect import bisect_left

import pytest
import pyvips

from pipeline.image.transfer_curve import TransferCurve, convert, to_linear


def levels(*, is_deep: bool = False) -> pyvips.Image:
    if is_deep:
        return pyvips.Image.identity(ushort=True, size=65_536).copy(interpretation="grey16")
    return pyvips.Image.identity().copy(interpretation="b-w")


def test_every_level_survives_the_way_to_light_and_back() -> None:
    there = convert(levels(), TransferCurve.SRGB, TransferCurve.LINEAR)
    assert (convert(there, TransferCurve.LINEAR, TransferCurve.SRGB) - levels()).abs().max() == 0


def test_16_bits_become_the_same_light_as_8() -> None:
    deep = convert(levels(is_deep=True), TransferCurve.SRGB, TransferCurve.LINEAR)
    assert deep.getpoint(128 * 257, 0) == convert(levels(), TransferCurve.SRGB, TransferCurve.LINEAR).getpoint(128, 0)


def test_each_of_16_bits_of_light_becomes_the_nearest_level() -> None:
    light = pyvips.Image.identity(ushort=True, size=65_536).copy(interpretation="grey16")
    found = convert(light, TransferCurve.LINEAR, TransferCurve.SRGB).write_to_memory()
    begins = [65_535 * to_linear((level - 0.5) / 255) for level in range(1, 256)]
    assert list(bytes(found)) == [bisect_left(begins, level) for level in range(65_536)]


def test_alpha_is_not_light() -> None:
    picture = pyvips.Image.new_from_array([[128]]).bandjoin([[64]]).cast("uchar").copy(interpretation="b-w")
    grey, alpha = convert(picture, TransferCurve.SRGB, TransferCurve.LINEAR).getpoint(0, 0)
    assert grey == pytest.approx(65_535 * to_linear(128 / 255), abs=1)
    assert alpha == 64 * 257


@pytest.mark.parametrize(("coded", "expected"), [(0, 0), (1, 1), (0.5, 0.214_041), (0.04, 0.003_095_975)])
def test_light_is_what_the_standard_says(coded: float, expected: float) -> None:
    """The expected values are from IEC 61966-2-1."""
    assert to_linear(coded) == pytest.approx(expected, rel=1e-4)
