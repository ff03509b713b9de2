"""libvips, set up for a small machine and hostile input when this module is imported."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyvips

from pipeline.errors import Corrupt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = ".".join(str(pyvips.version(part)) for part in range(3))
"""The version of libvips that is loaded."""

READ = ("JpegFile", "PngFile", "WebpFile")
"""The only loaders that may run, by libvips' class name without its `VipsForeignLoad`."""

WRITTEN = ("JpegFile", "PngFile", "WebpFile")
"""The only savers that may run, by libvips' class name without its `VipsForeignSave`."""


def _set_up() -> None:
    """Threads and caches cost memory that a small machine lacks; a loader that cannot run cannot be attacked."""
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)  # noqa: FBT003 - libvips' own signature
    for operation, allowed in (("VipsForeignLoad", READ), ("VipsForeignSave", WRITTEN)):
        pyvips.operation_block_set(operation, True)  # noqa: FBT003 - as above
        for name in allowed:
            pyvips.operation_block_set(operation + name, False)  # noqa: FBT003 - as above


_set_up()


Error = pyvips.Error
Image = pyvips.Image


def load(loader: str, path: Path, **options: float) -> pyvips.Image:
    """Open a file with one loader, to be read once from top to bottom; only its header is read yet.

    A file that ends early is an error when the pixels are read, never a picture with a grey lower half.

    Raises:
        Corrupt: the header makes no sense.
    """
    with _reading():
        return getattr(pyvips.Image, loader)(str(path), access="sequential", fail_on="truncated", **options)


def hold(image: pyvips.Image) -> pyvips.Image:
    """Read an original through whatever is to be done with it, and keep the resulting pixels in memory.

    Raises:
        Corrupt: the file ends early or makes no sense.
    """
    with _reading():
        return image.copy_memory()


def save(image: pyvips.Image, saver: str, path: Path, **options: float | str) -> None:
    """Write a picture with one saver, without any metadata."""
    getattr(image, saver)(str(path), keep="none", **options)


def number(image: pyvips.Image, field: str, *, default: int) -> int:
    """Read a whole number from a picture's header."""
    return int(image.get(field)) if image.get_typeof(field) else default


def swatches(colours: bytes, *, bands: int) -> pyvips.Image:
    """Make a picture one pixel high of some 8-bit colours: sRGB with three bands, grey with one."""
    strip = pyvips.Image.new_from_memory(colours, len(colours) // bands, 1, bands, "uchar")
    return strip.copy(interpretation="srgb" if bands > 1 else "b-w")


def with_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    """Say what a picture's colours mean, without changing them."""
    labelled = image.copy()
    labelled.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return labelled


@contextmanager
def _reading() -> Iterator[None]:
    """Turn libvips' errors into ours, only where bytes of the original are read.

    Anywhere else an error is a mistake of ours or of the machine's, and the original must not be blamed for it.
    """
    try:
        yield
    except pyvips.Error as error:
        raise Corrupt(
            f"This file is damaged or cut short ({_reason(error)}); upload it again from the camera."
        ) from error


def _reason(error: pyvips.Error) -> str:
    """Keep the last line of libvips' account, which holds the cause; the others may hold the file's path."""
    lines = [line.strip() for line in str(error.detail).splitlines() if line.strip()]
    return lines[-1] if lines and "/" not in lines[-1] else "it cannot be decoded"
