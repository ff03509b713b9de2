"""An image that is computed in rows is the image, and no row is computed twice."""

from __future__ import annotations

import struct

import pytest

from pipeline.errors import Corrupt
from pipeline.image import vips
from pipeline.image.rows import Rows


@pytest.mark.parametrize("sides", [(1, 1), (7, 3), (50, 16), (33, 100), (300, 65)])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("is_deep", [False, True])
def test_rows_become_an_image(sides: tuple[int, int], bands: int, *, is_deep: bool) -> None:
    width, height = sides
    samples = [(x * 7 + y * 3 + band) % 251 for y in range(height) for x in range(width) for band in range(bands)]
    line, lines, asked = width * bands, 20, list[int]()

    def compute(row: int) -> memoryview:
        asked.append(row)
        own = samples[row * lines * line : (row + 1) * lines * line]
        return memoryview(struct.pack(f"{len(own)}{'H' if is_deep else 'B'}", *own))

    image = vips.evaluate(Rows(sides=sides, bands=bands, is_deep=is_deep, lines=lines).image(compute))
    assert (image.width, image.height, image.bands) == (width, height, bands)
    assert image.interpretation == vips.interpretation(bands, is_deep=is_deep)
    assert list(vips.samples(image).cast("B").cast("H" if is_deep else "B")) == samples
    assert asked == list(range(-(-height // lines)))


def test_rows_that_end_early_are_an_error() -> None:
    image = Rows(sides=(100, 100), bands=3, is_deep=False, lines=50).image(
        lambda row: memoryview(bytes(15_000) if row == 0 else b"")
    )
    with pytest.raises(Corrupt):
        vips.evaluate(image)
