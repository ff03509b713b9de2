"""Notices that any process of this machine closes a file, with Linux' inotify.

Libraries for it (asyncinotify, inotify-simple) start another program at import to find libc, and load its whole
interface; three of its functions are needed here.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_IN_CLOSE: Final = 0x8 | 0x10
"""From Linux' `inotify.h`: the file was closed, whether it was open for writing or not."""

_EVENTS_BYTES: Final = 64 * 1024


class FileCloses:
    """The times that one file is closed, from now until `close`."""

    def __init__(self, path: Path) -> None:
        """Begin to notice.

        Raises:
            OSError: the file does not exist, the system has no inotify, or its limits are reached.
        """
        self._descriptor = _checked("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _checked("inotify_add_watch", self._descriptor, os.fsencode(path), _IN_CLOSE)
            self._loop = asyncio.get_running_loop()
            self._was_closed = asyncio.Event()
            self._loop.add_reader(self._descriptor, self._notice)
        except BaseException:
            os.close(self._descriptor)
            raise

    async def next(self) -> None:
        """Return when the file is closed, or at once if it was closed since the last return."""
        await self._was_closed.wait()
        self._was_closed.clear()

    def close(self) -> None:
        """Release the descriptor."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _notice(self) -> None:
        os.read(self._descriptor, _EVENTS_BYTES)  # what is in the events is known
        self._was_closed.set()


def _checked(function: str, *arguments: int | bytes) -> int:
    try:
        result: int = getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments)
    except AttributeError as missing:
        raise OSError(f"no {function} on this system") from missing
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
