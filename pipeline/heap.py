"""The heap of the C library."""

from __future__ import annotations

import ctypes


def release_memory() -> None:
    """Return free heap memory to the operating system; does nothing unless the C library is glibc.

    glibc keeps free memory until `malloc_trim` is called, which takes less than a millisecond. A photograph in portrait
    orientation holds 1 MB less when its second size is rendered; a web process that had a thousand connections, 8 MB.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
