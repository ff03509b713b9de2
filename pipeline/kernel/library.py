"""The compiled library, as functions of Python; `ladder.h` documents them."""

from __future__ import annotations

import ctypes
from pathlib import Path

from pipeline.kernel.light import levels_of_light, light_of_levels

PATH = Path(__file__).with_name("_kernel.so")
"""The library: `setup.py` compiles it."""

MOST_REDUCTION = 8
"""The largest reduction of a side in one level, as in `kernel.h`."""

PLANE_BLOCK, TAPS_BLOCK, OUTPUTS_BLOCK = 32, 16, 4
"""Samples, weights and outputs, as in `kernel.h`: planes and windows are padded to multiples of them."""

NO_PARENT = -1


class LadderStep(ctypes.Structure):
    """A level of the ladder, as C reads it."""

    _fields_ = (
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("parent", ctypes.c_int32),
        ("out", ctypes.c_void_p),
    )


def _load() -> ctypes.CDLL:
    if not PATH.exists():
        raise ImportError(f"{PATH} is missing: `make install` compiles it; see CONTRIBUTING.md")
    library = ctypes.CDLL(str(PATH))
    numbers, pointer = ctypes.c_int, ctypes.c_void_p
    library.ladder_new.argtypes = [numbers, numbers, numbers, pointer, numbers, pointer, pointer, pointer]
    library.ladder_new.restype = pointer
    library.ladder_push.argtypes = [pointer, pointer, numbers]
    library.ladder_free.argtypes = [pointer]
    library.ladder_free.restype = None
    library.ladder_choose.argtypes = [ctypes.c_char_p]
    library.ladder_window.argtypes = [numbers, numbers, numbers, pointer, pointer]
    return library


LIBRARY = _load()
LIGHT_TABLE = (ctypes.c_int16 * 256)(*light_of_levels())
LEVEL_TABLE = levels_of_light()


def row_bytes(width: int, bands: int) -> int:
    """Return the bytes of a row of light."""
    return 2 * bands * _padded(width, PLANE_BLOCK)


def windows_bytes(inputs: int, outputs: int) -> int:
    """Return the bytes of the windows that bring a number of inputs to a number of outputs."""
    return _padded(outputs, OUTPUTS_BLOCK) * (2 * _padded(taps(inputs, outputs), TAPS_BLOCK) + 4)


def _padded(number: int, block: int) -> int:
    return -(-number // block) * block


def taps(inputs: int, outputs: int) -> int:
    """Return the number of inputs that one output is weighed from."""
    exact = -(-6 * max(inputs, outputs) // outputs)
    return exact + exact % 2
