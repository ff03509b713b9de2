"""Pictures are reduced exactly as the oracle does it, by every kind of instruction."""

from __future__ import annotations

from mmap import PAGESIZE, mmap
from pathlib import Path
from resource import RLIMIT_AS, getrlimit, setrlimit
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pyvips

from pipeline.image.transfer_curve import to_linear
from pipeline.kernel.library import LIBRARY, MOST_REDUCTION, MOST_RUNGS, MOST_SIDE
from pipeline.kernel.reduction import WantedPicture, chain, reduce, rungs, working_bytes
from tests.pipeline.kernel import oracle
from tests.pipeline.kernel.oracle import ONE, Shape
from tests.pipeline.kernel.test_windows import lanczos
from tests.thorough import in_ci

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

INSTRUCTIONS = ("scalar", "sse2", "avx2", "neon")
PHOTOGRAPH = [WantedPicture(sides=(2000, 1500), source=None), WantedPicture(sides=(800, 600), source=0)]

HALF = [WantedPicture(sides=(5, 30), source=None)]


def choose(name: str) -> bool:
    """Use other instructions from now on; return False if this processor has none of that name."""
    return bool(LIBRARY.ladder_choose(name.encode()) == 0)


@pytest.fixture(autouse=True)
def default_instructions() -> Iterator[None]:
    yield
    for name in INSTRUCTIONS:
        choose(name)  # the last one that there is, which is the default


def made(original: Shape, random: Random) -> list[bytes]:
    found = reduce(original.sides, original.bands, original.wanted, original.strips(random), matrix=original.matrix)
    return [bytes(pixels) for pixels in found]


def expected(original: Shape) -> list[bytes]:
    steps = rungs(original.sides, original.wanted)
    pictures = oracle.reduced(original, [(rung.sides, rung.source) for rung in steps])
    return [picture for picture, rung in zip(pictures, steps, strict=True) if rung.picture is not None]


def test_shapes_and_contents_by_chance_equal_the_oracle_with_all_instructions() -> None:
    random = oracle.seeded(1)
    for number in range(in_ci(10_000, otherwise=1000)):
        original = oracle.shape(random)
        wanted = expected(original)
        for name in INSTRUCTIONS:
            if choose(name):
                is_equal = made(original, random) == wanted
                assert is_equal, f"shape {number} with {name}: {original}"


@pytest.mark.parametrize("bands", [1, 3])
def test_a_picture_of_the_same_dimensions_has_the_same_pixels(bands: int) -> None:
    pixels = bytes(range(256)) * 3
    original = Shape(sides=(256 // bands, 3), bands=bands, wanted=(), pixels=pixels[: 256 // bands * bands * 3])
    same = WantedPicture(sides=original.sides, source=None)
    (picture,) = reduce(original.sides, bands, [same], [bytearray(original.pixels)])
    assert picture == original.pixels


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("sides", [(1, 1), (5, 7), (37, 3), (99, 50)])
def test_a_plain_colour_stays_what_it_is(level: int, sides: tuple[int, int]) -> None:
    wanted = [WantedPicture(sides=sides, source=None), WantedPicture(sides=(1, 1), source=0)]
    for picture in reduce((100, 60), 3, wanted, [bytearray([level]) * (100 * 60 * 3)]):
        assert set(picture) == {level}


@pytest.mark.parametrize("sides", [(45, 31), (30, 20), (12, 9)])
def test_no_sample_is_more_than_one_level_off_what_floating_point_gives(sides: tuple[int, int]) -> None:
    original = oracle.Shape(sides=(90, 60), bands=3, wanted=(), pixels=oracle.seeded(3).randbytes(90 * 60 * 3))
    (picture,) = reduce(original.sides, 3, [WantedPicture(sides=sides, source=None)], [bytearray(original.pixels)])
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
    original = oracle.Shape(sides=(64, 48), bands=3, wanted=(), pixels=random.randbytes(64 * 48 * 3))
    steps = [((40, 30), True), ((30, 22), False), ((20, 15), True), ((3, 2), False)]
    whole = reduce(original.sides, 3, chain(steps), original.strips(random))
    fewer = reduce(original.sides, 3, chain([steps[0], *steps[2:]]), original.strips(random))
    assert [whole[0], *whole[2:]] == fewer
    assert [picture.source for picture in chain(steps)] == [None, 0, 0, 2]


@pytest.mark.parametrize("sides", [(16_000, 3), (3, 16_000), (700, 500)])
def test_a_large_reduction_goes_through_pictures_between(sides: tuple[int, int]) -> None:
    wanted = [WantedPicture(sides=(1, 1), source=None)]
    for rung in rungs(sides, wanted):
        for above, own in zip(rung.source_sides, rung.sides, strict=True):
            assert own <= above <= MOST_REDUCTION * own
    (picture,) = reduce(sides, 1, wanted, [bytearray([0, 255]) * (sides[0] * sides[1] // 2)])
    assert picture[0] == pytest.approx(188, abs=1), "the mean of light"


@pytest.mark.parametrize("rows", [[], [0], [59], [61], [30, 29], [30, 31], [60, 1]])
def test_another_number_of_rows_than_the_original_has_is_an_error(rows: list[int]) -> None:
    with pytest.raises(ValueError, match=r"rows"):
        reduce((10, 60), 1, HALF, [bytearray(10 * count) for count in rows])


@pytest.mark.parametrize("size", [1, 9, 11, 601])
def test_a_strip_that_is_not_whole_rows_is_an_error(size: int) -> None:
    with pytest.raises(ValueError, match=rf"strip of {size} bytes"):
        reduce((10, 60), 1, HALF, [bytearray(size)])


def test_more_rows_than_an_int_of_c_counts_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with path.open("w+b") as file:
        file.truncate((1 << 32) + 60)  # would be 60 rows
        pixels = memoryview(mmap(file.fileno(), 0))
        with pytest.raises(ValueError, match="rows"):
            reduce((1, 60), 1, [WantedPicture(sides=(1, 30), source=None)], [pixels])


def test_a_strip_of_several_dimensions_has_the_rows_of_all_its_bytes() -> None:
    flat = bytearray(oracle.seeded(5).randbytes(600))
    folded = memoryview(flat).cast("B", (60, 10))
    deep = memoryview(flat).cast("B", (2, 3, 100))
    wide = memoryview(flat).cast("H")
    assert reduce((10, 60), 1, HALF, [folded]) == reduce((10, 60), 1, HALF, [deep])
    assert reduce((10, 60), 1, HALF, [wide]) == reduce((10, 60), 1, HALF, [flat])
    assert reduce((10, 60), 1, HALF, [folded]) == reduce((10, 60), 1, HALF, [flat])


@pytest.mark.parametrize("strip", [memoryview(bytes(600)), memoryview(bytearray(1200))[::2]], ids=["fixed", "gaps"])
def test_memory_that_is_read_only_or_has_gaps_is_an_error(strip: memoryview) -> None:
    with pytest.raises(TypeError):
        reduce((10, 60), 1, HALF, [strip])


@pytest.mark.parametrize("side", [-1, 0, MOST_SIDE + 1, 1 << 32])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_side_out_of_range_is_an_error(side: int, axis: int) -> None:
    sides = (side, 4) if axis == 0 else (4, side)
    for original, wanted in (((4, 4), sides), (sides, (4, 4))):
        pictures = [WantedPicture(sides=wanted, source=None)]
        with pytest.raises(ValueError, match=f"sides are 1 to {MOST_SIDE}"):
            reduce(original, 1, pictures, [])
        with pytest.raises(ValueError, match=f"sides are 1 to {MOST_SIDE}"):
            working_bytes(original, 1, pictures)


def test_no_picture_of_libvips_has_a_side_out_of_range() -> None:
    with pytest.raises(pyvips.Error):
        pyvips.Image.black(MOST_SIDE + 1, 1)
    assert pyvips.Image.black(100_000_000, 1).width < MOST_SIDE


@pytest.mark.parametrize("sources", [[0], [1], [-1], [None, None], [None, 1], [None, 2], [None, -1], [None, 0, None]])
def test_a_source_that_is_no_earlier_picture_is_an_error(sources: list[int | None]) -> None:
    with pytest.raises(ValueError, match="cannot be reduced from"):
        rungs((8, 8), [WantedPicture(sides=(8, 8), source=source) for source in sources])


def test_more_pictures_than_the_library_takes_are_an_error() -> None:
    wanted = [WantedPicture(sides=(1, 1), source=number - 1 if number else None) for number in range(MOST_RUNGS + 1)]
    with pytest.raises(ValueError, match="1001 pictures"):
        rungs((1, 1), wanted)
    pictures = reduce((1, 1), 1, wanted[:-1], [bytearray(b"x")])
    assert pictures == [b"x"] * MOST_RUNGS, "a chain as long as that may be"


@pytest.mark.parametrize(("bands", "wanted"), [(0, HALF), (2, HALF), (4, HALF), (-1, HALF), (3, [])])
def test_bands_of_another_number_and_no_pictures_are_an_error(bands: int, wanted: list[WantedPicture]) -> None:
    with pytest.raises(ValueError, match="bands"):
        reduce((10, 60), bands, wanted, [])


@pytest.mark.parametrize(
    ("matrix", "bands", "message"),
    [
        ((), 3, "0 numbers"),
        (oracle.MATRIX[:8], 3, "8 numbers"),
        ((*oracle.MATRIX, 0), 3, "10 numbers"),
        (oracle.MATRIX, 1, "1 bands"),
        ((2 * ONE, 0, 0, *oracle.MATRIX[3:]), 3, "2 or more"),
        ((*oracle.MATRIX[:3], -ONE, -ONE, 0, *oracle.MATRIX[6:]), 3, "2 or more"),
        ((*oracle.MATRIX[:6], 1, 1 - ONE, ONE), 3, "2 or more"),
        ((1 << 16, 0, 0, *oracle.MATRIX[3:]), 3, "2 or more"),  # 0 in 16 bits
    ],
)
def test_a_matrix_whose_sums_would_leave_32_bits_is_an_error(matrix: tuple[int, ...], bands: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reduce((10, 60), bands, HALF, [], matrix=matrix)


def test_a_lack_of_memory_is_an_error() -> None:
    held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * PAGESIZE
    before = getrlimit(RLIMIT_AS)
    setrlimit(RLIMIT_AS, (held + 64_000_000, before[1]))
    try:
        with pytest.raises(MemoryError, match="of a reduction"):
            reduce((4_000_000, 1), 1, [WantedPicture(sides=(4_000_000, 1), source=None)], [])  # 128 MB of weights
    finally:
        setrlimit(RLIMIT_AS, before)


def test_what_a_reduction_holds_does_not_grow_with_the_height() -> None:
    assert working_bytes((4000, 3000), 3, PHOTOGRAPH) < 1_500_000
    assert working_bytes((4000, 24_000), 3, PHOTOGRAPH) < 1.3 * 8 * working_bytes((4000, 3000), 3, PHOTOGRAPH)
