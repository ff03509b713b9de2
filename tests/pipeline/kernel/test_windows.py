"""Windows are those of Lanczos3, and no sum of light that they weight leaves 32 bits."""

from __future__ import annotations

import ctypes
import math
from itertools import accumulate

import pytest

from pipeline.kernel.library import LIBRARY, LOBES, MOST_REDUCTION, MOST_SIDE, taps
from tests.pipeline.kernel import oracle
from tests.pipeline.kernel.oracle import ONE, UNIT
from tests.thorough import count

MOST_TAPS = 2 * LOBES * MOST_REDUCTION


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
    for _ in range(count(2000, otherwise=300)):
        outputs = random.choice((random.randint(1, 20), random.randint(1, 3000)))
        inputs = random.randint(1, MOST_REDUCTION * outputs)
        check(inputs, outputs, random.randrange(outputs))


def test_no_window_of_few_inputs_is_worse_than_that_of_two_or_four() -> None:
    absolute = {
        inputs: max(
            check(inputs, outputs, output) for outputs in (inputs, inputs + 1, 150) for output in range(outputs)
        )
        for inputs in range(1, 9)
    }
    worst = sorted(absolute, key=absolute.__getitem__)[-2:]
    assert sorted(worst) == [2, 4]
    assert absolute[4] == pytest.approx((0.608 + 0.135) / (0.608 - 0.135) * ONE, rel=0.002)


def check(inputs: int, outputs: int, output: int) -> int:
    """Return the sum of the absolute weights of a window that is in all other respects as `kernel.h` has it."""
    first, found = weights(inputs, outputs, output)
    assert sum(found) == ONE
    assert 0 <= first <= inputs
    assert len(found) % 2 == 0
    assert not any(found[inputs - first :]), "no input behind the last one has a weight"
    assert all(-0.29 * ONE < part < 1.29 * ONE for part in accumulate(found)), "the range of rounded_share"
    mirrored_first, mirrored = weights(inputs, outputs, outputs - 1 - output)
    own = {first + tap: weight for tap, weight in enumerate(found)}
    other = {inputs - 1 - mirrored_first - tap: weight for tap, weight in enumerate(mirrored)}
    assert all(abs(own.get(place, 0) - other.get(place, 0)) <= 1 for place in own | other)
    absolute = sum(map(abs, found))
    assert absolute < 1.58 * ONE
    return absolute


def test_the_series_is_lanczos_to_a_part_of_33_million() -> None:
    steps = range(0, 3 * 4096, 5)
    assert max(abs(oracle.lanczos3(step, 4096) / UNIT - lanczos(step / 4096)) for step in steps) < 2**-25


@pytest.mark.parametrize("name", ["inputs", "outputs"])
@pytest.mark.parametrize("side", [-(1 << 31), -1, 0, MOST_SIDE + 1, (1 << 31) - 1])
def test_there_is_no_window_for_sides_out_of_range(name: str, side: int) -> None:
    inputs, outputs = (side, 8) if name == "inputs" else (8, side)
    assert window(inputs, outputs, 0) == 0


@pytest.mark.parametrize("output", [-(1 << 31), -1, 8, (1 << 31) - 1])
def test_there_is_no_window_for_an_output_out_of_range(output: int) -> None:
    assert window(8, 8, output) == 0


@pytest.mark.parametrize("inputs", [MOST_REDUCTION + 1, 100_000_000, MOST_SIDE])
def test_there_is_no_window_of_too_many_inputs(inputs: int) -> None:
    assert window(inputs, 1, 0) == 0


def window(inputs: int, outputs: int, output: int) -> int:
    first, found = ctypes.c_int(), (ctypes.c_int16 * MOST_TAPS)()
    return int(LIBRARY.ladder_window(inputs, outputs, output, ctypes.byref(first), found))
