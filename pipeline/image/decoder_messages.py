"""What libvips and its decoders report beside their results: error messages, and warnings that are no errors."""

from __future__ import annotations

import gc
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyvips

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Listener(logging.Handler):
    """Collects the warnings that pyvips passes to its logger."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self.is_disturbed = False
        """Whether an object may be left that reports its warnings only when it is destroyed."""

    def emit(self, record: logging.LogRecord) -> None:
        self.is_disturbed = True
        self.messages.append(record.getMessage())


_listener = _Listener()
_logger = logging.getLogger("pyvips")
_logger.addHandler(_listener)
_logger.setLevel(logging.WARNING)  # whatever the level of other events is


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect the decoders' messages during the block, which may arrive by the log and in the error buffer.

    libvips checks for warnings before it reads the next strip of an image; those about the last strip it only collects.
    Objects of an earlier failure that still exist are destroyed first: they would log theirs now.
    """
    if _listener.is_disturbed:
        gc.collect()
        _listener.is_disturbed = False
    _listener.messages.clear()
    yield _listener.messages
    _listener.messages.append(take_error_buffer())


def detail(error: pyvips.Error | UnicodeDecodeError) -> str:
    """Return the message of an error of libvips; pyvips fails to decode one that quotes bytes of the file."""
    _listener.is_disturbed = True
    if isinstance(error, pyvips.Error):
        return str(error.detail)
    return take_error_buffer()


def take_error_buffer() -> str:
    """Return libvips' collected error messages, and clear them."""
    message = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace")
    pyvips.vips_lib.vips_error_clear()
    return str(message)
