"""The judge, on pictures computed from whole numbers: the same on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
from ssimulacra2 import compute_ssimulacra2

from pipeline.compare.judge import ssimulacra2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Change = Callable[[Pixels], Pixels]


def picture(width: int, height: int) -> Pixels:
    """Return rows of pixels with edges, gradients and fine detail."""
    y, x = np.mgrid[:height, :width]
    grain = (x * 73 ^ y * 151) * (x + 3 * y + 7) % 61
    red = 40 + x * 120 // 300 + grain
    green = np.where((x // 20 + y // 20) % 2, 190, 60) + grain
    blue = 30 + (x + y) * 130 // 500 + grain // 2
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def blurred(pixels: Pixels) -> Pixels:
    """Return every pixel as the mean of itself and the three to its right and below."""
    large = np.pad(pixels, ((0, 1), (0, 1), (0, 0)), mode="edge").astype(np.uint16)
    return ((large[:-1, :-1] + large[1:, :-1] + large[:-1, 1:] + large[1:, 1:] + 2) // 4).astype(np.uint8)


def coarse(pixels: Pixels) -> Pixels:
    """Return the pixels with 16 levels each."""
    return pixels // 16 * 16 + 8


def speckled(pixels: Pixels) -> Pixels:
    """Return the pixels, every seventh darker by 12 levels."""
    height, width, _ = pixels.shape
    y, x = np.mgrid[:height, :width]
    dots = np.asarray((x + 3 * y) % 7 == 0, dtype=np.uint8)
    return pixels - 12 * dots[:, :, None]


CRATE = [
    (300, 225, blurred, 26.832),
    (300, 225, coarse, 86.410),
    (300, 200, blurred, 27.418),
    (300, 200, coarse, 87.626),
    (300, 200, speckled, 88.930),
    (300, 169, blurred, 27.947),
    (300, 169, speckled, 88.898),
    (120, 113, blurred, 30.963),
    (120, 113, coarse, 86.733),
]
"""Scores of the Rust crate ssimulacra2 0.5.1, which has six scales from 113 pixels on."""


@pytest.mark.parametrize(("width", "height", "change", "expected"), CRATE)
def test_pictures_score_as_with_the_rust_crate(width: int, height: int, change: Change, expected: float) -> None:
    original = picture(width, height)
    assert ssimulacra2(original, change(original)) == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("change", [coarse, speckled])
def test_a_picture_too_small_for_the_crate_scores_as_a_larger_one(change: Change) -> None:
    small, large = picture(100, 67), picture(300, 225)
    assert ssimulacra2(small, change(small)) == pytest.approx(ssimulacra2(large, change(large)), abs=1)


@pytest.mark.parametrize("sides", [(300, 225), (300, 169), (30, 20), (8, 8)])
def test_identical_pictures_score_100(sides: tuple[int, int]) -> None:
    original = picture(*sides)
    assert ssimulacra2(original, original.copy()) == 100


@pytest.mark.parametrize("change", [coarse, speckled])
def test_the_package_alone_scores_large_pictures_as_the_judge_does(tmp_path: Path, change: Change) -> None:
    original = picture(400, 300)
    assert by_package(tmp_path, original, change(original)) == pytest.approx(
        ssimulacra2(original, change(original)), abs=0.5
    )


@pytest.mark.parametrize("change", [blurred, coarse, speckled])
def test_the_package_alone_is_still_wrong_under_225_pixels(tmp_path: Path, change: Change) -> None:
    """If this fails, the package was mended, and `pipeline.compare.judge` may call its `compute_ssimulacra2`."""
    original = picture(300, 200)
    assert abs(by_package(tmp_path, original, change(original)) - ssimulacra2(original, change(original))) > 3


def by_package(folder: Path, one: Pixels, other: Pixels) -> float:
    paths = folder / "one.png", folder / "other.png"
    for pixels, path in zip((one, other), paths, strict=True):
        PIL.Image.fromarray(pixels).save(path)
    return float(compute_ssimulacra2(*map(str, paths)))
