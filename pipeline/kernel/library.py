"""The compiled library, its tables, and the sizes of what it allocates; see `ladder.h`."""

from __future__ import annotations

import ctypes
from pathlib import Path

from pipeline.kernel.light import ALL_LIGHTS, levels_of_light, light_of_levels

PATH = Path(__file__).with_name("_kernel.so")
"""The library: `setup.py` compiles it."""

VERSION = 1
"""`LADDER_VERSION` of the library."""

LOBES, MOST_REDUCTION, MOST_SIDE, MOST_RUNGS = 3, 8, 1 << 27, 1000
"""As in `kernel.h`: lobes of Lanczos3, the largest reduction of a side by one rung, and bounds."""

WEIGHT_BITS = 14
"""As in `kernel.h`: a weight, or a number of a matrix, is in parts of 2 to this power."""

PLANE_BLOCK, TAPS_BLOCK, OUTPUTS_BLOCK = 32, 16, 4
"""As in `kernel.h`: samples, weights and outputs are padded to multiples of these."""

FROM_ORIGINAL = -1
"""The `source` of a rung that is reduced from the original."""

_LIGHT_BYTES, _WEIGHT_BYTES, _FIRST_BYTES = 2, 2, 4
"""Bytes of a sample of light, of a weight, and of the number of a window's first input."""


class RungStruct(ctypes.Structure):
    """`struct rung` of `ladder.h`."""

    _fields_ = (
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("source", ctypes.c_int32),
        ("out", ctypes.c_void_p),
    )


CONTRACT = (
    VERSION,
    len(ALL_LIGHTS),
    WEIGHT_BITS,
    LOBES,
    MOST_REDUCTION,
    MOST_SIDE,
    MOST_RUNGS,
    PLANE_BLOCK,
    TAPS_BLOCK,
    OUTPUTS_BLOCK,
    ctypes.sizeof(RungStruct),
)
"""What the library must have as `ladder_contract`."""


def load(path: Path) -> ctypes.CDLL:
    """Return the compiled library, with the types of its functions.

    Raises:
        ImportError: it is missing, or it was compiled from other sources than those beside this.
    """
    if not path.exists():
        raise ImportError(f"{path} is missing: `make install` compiles it; see CONTRIBUTING.md")
    library = ctypes.CDLL(str(path))
    if _contract(library) != CONTRACT:
        raise ImportError(f"{path} is of another version: `make install` compiles it again")
    number, pointer = ctypes.c_int, ctypes.c_void_p
    sides_and_bands = [number, number, number]
    library.ladder_new.argtypes = [*sides_and_bands, pointer, number, pointer, pointer, pointer]
    library.ladder_new.restype = pointer
    library.ladder_push.argtypes = [pointer, pointer, number]
    library.ladder_free.argtypes = [pointer]
    library.ladder_free.restype = None
    library.ladder_choose.argtypes = [ctypes.c_char_p]
    library.ladder_window.argtypes = [number, number, number, pointer, pointer]
    return library


def _contract(library: ctypes.CDLL) -> tuple[int, ...]:
    try:
        return tuple((ctypes.c_int32 * len(CONTRACT)).in_dll(library, "ladder_contract"))
    except ValueError:  # it has none
        return ()


LIBRARY = load(PATH)
LIGHT_OF_LEVEL = (ctypes.c_int16 * 256)(*light_of_levels())
LEVEL_OF_LIGHT = levels_of_light()


def row_bytes(width: int, bands: int) -> int:
    """Return the bytes of a row of light."""
    return _LIGHT_BYTES * bands * _padded(width, PLANE_BLOCK)


def windows_bytes(inputs: int, outputs: int) -> int:
    """Return the bytes of the windows that bring a number of inputs to a number of outputs."""
    stride = _padded(taps(inputs, outputs), TAPS_BLOCK)
    return _padded(outputs, OUTPUTS_BLOCK) * (_WEIGHT_BYTES * stride + _FIRST_BYTES)


def _padded(number: int, block: int) -> int:
    return -(-number // block) * block


def taps(inputs: int, outputs: int) -> int:
    """Return the number of weights of a window, as in `windows_make`.

    It is even, and may exceed the number of inputs: some weights are 0.
    """
    exact = -(-2 * LOBES * max(inputs, outputs) // outputs)
    return exact + exact % 2
