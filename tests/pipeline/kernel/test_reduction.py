"""Pictures are reduced exactly as the oracle does it, by every kind of instruction."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.image.transfer_curve import to_linear
from pipeline.kernel import library, light
from pipeline.kernel.library import LIBRARY, MOST_REDUCTION, taps
from pipeline.kernel.reduction import Level, chain, reduce, rungs, working_bytes
from tests.pipeline.kernel import oracle
from tests.pipeline.kernel.oracle import ONE, Shape
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

INSTRUCTIONS = ("scalar", "sse2", "avx2", "neon")
PHOTOGRAPH = [Level(sides=(2000, 1500), source=None), Level(sides=(800, 600), source=0)]


def choose(name: str) -> bool:
    """Use other instructions from now on; return False if this processor has none of that name."""
    return bool(LIBRARY.ladder_choose(name.encode()) == 0)


@pytest.fixture(autouse=True)
def default_instructions() -> Iterator[None]:
    yield
    for name in INSTRUCTIONS:
        choose(name)  # the last one that there is, which is the default


def made(original: Shape, random: Random) -> list[bytes]:
    found = reduce(original.sides, original.bands, original.levels, original.strips(random), matrix=original.matrix)
    return [bytes(pixels) for pixels in found]


def expected(original: Shape) -> list[bytes]:
    steps = rungs(original.sides, original.levels)
    pictures = oracle.reduced(original, [(rung.sides, rung.parent) for rung in steps])
    return [picture for picture, rung in zip(pictures, steps, strict=True) if rung.made is not None]


def test_shapes_and_contents_by_chance_equal_the_oracle_with_all_instructions() -> None:
    random = oracle.seeded(1)
    for number in range(count(10_000, otherwise=1000)):
        original = oracle.shape(random)
        wanted = expected(original)
        for name in INSTRUCTIONS:
            if choose(name):
                is_equal = made(original, random) == wanted
                assert is_equal, f"shape {number} with {name}: {original}"


def weights(inputs: int, outputs: int, output: int) -> tuple[int, list[int]]:
    first, found = ctypes.c_int(), (ctypes.c_int16 * taps(inputs, outputs))()
    assert LIBRARY.ladder_window(inputs, outputs, output, ctypes.byref(first), found) == len(found)
    return first.value, list(found)


def lanczos(x: float) -> float:
    return (
        1
        if x == 0
        else 0
        if abs(x) >= 3
        else 3 * math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x) ** 2
    )


@pytest.mark.parametrize(("inputs", "outputs"), [(4128, 2000), (2000, 1200), (800, 300), (8, 1), (3, 2), (6000, 750)])
def test_weights_are_those_of_lanczos_to_a_part_of_16384(inputs: int, outputs: int) -> None:
    scale = inputs / outputs
    for output in (0, 1, outputs // 3, outputs - 1):
        if output >= outputs:
            continue
        first, found = weights(inputs, outputs, output)
        places = [(first + tap + 0.5 - (output + 0.5) * scale) / scale for tap in range(len(found))]
        exact = [lanczos(x) if first + tap < inputs else 0 for tap, x in enumerate(places)]
        assert found == pytest.approx([ONE * value / sum(exact) for value in exact], abs=1.001)


def test_the_weights_of_every_window_add_up_to_one_and_never_leave_32_bits() -> None:
    """A sum of products has at most 2^15 times the absolute weights, which have to be below 2^15."""
    random = oracle.seeded(2)
    most = 0
    for _ in range(count(2000, otherwise=300)):
        outputs = random.choice((random.randint(1, 20), random.randint(1, 3000)))
        inputs = random.randint(1, MOST_REDUCTION * outputs)
        first, found = weights(inputs, outputs, random.randrange(outputs))
        assert sum(found) == ONE
        assert 0 <= first <= inputs
        assert not any(found[inputs - first :]), "no input behind the last one has a weight"
        most = max(most, sum(map(abs, found)))
    assert most < 1.6 * ONE


@pytest.mark.parametrize("bands", [1, 3])
def test_a_picture_of_the_same_dimensions_has_the_same_pixels(bands: int) -> None:
    pixels = bytes(range(256)) * 3
    original = Shape(sides=(256 // bands, 3), bands=bands, levels=(), pixels=pixels[: 256 // bands * bands * 3])
    same = Level(sides=original.sides, source=None)
    (picture,) = reduce(original.sides, bands, [same], [bytearray(original.pixels)])
    assert picture == original.pixels


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("sides", [(1, 1), (5, 7), (37, 3), (99, 50)])
def test_a_plain_colour_stays_what_it_is(level: int, sides: tuple[int, int]) -> None:
    levels = [Level(sides=sides, source=None), Level(sides=(1, 1), source=0)]
    for picture in reduce((100, 60), 3, levels, [bytearray([level]) * (100 * 60 * 3)]):
        assert set(picture) == {level}


@pytest.mark.parametrize("sides", [(45, 31), (30, 20), (12, 9)])
def test_no_level_is_more_than_one_off_what_floating_point_gives(sides: tuple[int, int]) -> None:
    original = oracle.Shape(sides=(90, 60), bands=3, levels=(), pixels=oracle.seeded(3).randbytes(90 * 60 * 3))
    (picture,) = reduce(original.sides, 3, [Level(sides=sides, source=None)], [bytearray(original.pixels)])
    down, across = (exact(original.sides[axis], sides[axis]) for axis in (1, 0))
    shone = np.vectorize(to_linear)(original.array / 255)
    wanted = np.clip(np.einsum("oh,pw,hwc->opc", down, across, shone), 0, 1)
    shown = np.where(wanted <= 0.0031308, wanted * 12.92, 1.055 * wanted ** (1 / 2.4) - 0.055) * 255
    found = np.frombuffer(picture, np.uint8).reshape(shown.shape)
    assert np.abs(found - shown).max() <= 1.5


def exact(inputs: int, outputs: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    scale = inputs / outputs
    rows = [[lanczos((one + 0.5) / scale - output - 0.5) for one in range(inputs)] for output in range(outputs)]
    found = np.array(rows)
    shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = found / found.sum(axis=1, keepdims=True)
    return shares


def test_a_picture_depends_on_those_it_is_reduced_from_and_on_no_other() -> None:
    random = oracle.seeded(4)
    original = oracle.Shape(sides=(64, 48), bands=3, levels=(), pixels=random.randbytes(64 * 48 * 3))
    steps = [((40, 30), True), ((30, 22), False), ((20, 15), True), ((3, 2), False)]
    whole = reduce(original.sides, 3, chain(steps), original.strips(random))
    fewer = reduce(original.sides, 3, chain([steps[0], *steps[2:]]), original.strips(random))
    assert [whole[0], *whole[2:]] == fewer
    assert [level.source for level in chain(steps)] == [None, 0, 0, 2]


@pytest.mark.parametrize("sides", [(16_000, 3), (3, 16_000), (700, 500)])
def test_a_large_reduction_goes_through_levels_between(sides: tuple[int, int]) -> None:
    levels = [Level(sides=(1, 1), source=None)]
    for rung in rungs(sides, levels):
        for above, own in zip(rung.source_sides, rung.sides, strict=True):
            assert own <= above <= MOST_REDUCTION * own
    (picture,) = reduce(sides, 1, levels, [bytearray([0, 255]) * (sides[0] * sides[1] // 2)])
    assert picture[0] == pytest.approx(188, abs=1), "the mean of light"


@pytest.mark.parametrize("rows", [0, 59, 61])
def test_another_number_of_rows_than_the_original_has_is_an_error(rows: int) -> None:
    with pytest.raises(ValueError, match=r"rows|strip"):
        reduce((10, 60), 1, [Level(sides=(5, 30), source=None)], [bytearray(10 * rows)])


def test_dimensions_that_no_machine_can_hold_are_an_error() -> None:
    sides = 1 << 25, 4
    with pytest.raises(MemoryError):
        reduce(sides, 1, [Level(sides=(1 << 24, 1), source=None)], [])


def test_the_constants_of_python_are_those_of_c() -> None:
    header = library.PATH.with_name("kernel.h").read_text()
    for name in ("MOST_REDUCTION", "PLANE_BLOCK", "TAPS_BLOCK", "OUTPUTS_BLOCK"):
        assert f"#define {name} {getattr(library, name)}" in header
    assert f"#define LIGHTS {len(light.LIGHTS)} " in header


def test_what_a_reduction_holds_does_not_grow_with_the_height() -> None:
    assert working_bytes((4000, 3000), 3, PHOTOGRAPH) < 1_500_000
    assert working_bytes((4000, 24_000), 3, PHOTOGRAPH) < 1.3 * 8 * working_bytes((4000, 3000), 3, PHOTOGRAPH)
