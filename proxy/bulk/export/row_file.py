"""A file of rows that has its name only when it is complete."""

from __future__ import annotations

import contextlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from proxy.bulk.options import BadOption
from proxy.errors import GaveUp
from proxy.stores.file.atomic import flush_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.bulk.export.row_formats import RowFormat
    from proxy.derivatives.picture.picture import PictureDescription

PARTIAL: Final = ".partial"
"""The end of the name of a file while rows are written to it."""


class RowFile:
    """A file of rows below the name `path`, with `.partial` behind it until `complete`; `option` names it."""

    def __init__(self, path: Path, rows: RowFormat, *, option: str) -> None:
        self._option = option
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL)
        self._rows = rows
        self._file: TextIO | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the file open within the block; it is removed unless `complete` was called.

        Raises:
            BadOption: the file cannot be written.
        """
        try:
            self._file = self._partial.open("w", encoding="utf-8", newline="")
        except OSError as fault:
            raise BadOption(
                f"{self._option}: {self._path} cannot be written ({fault.strerror}). Name a file in a folder that "
                "exists and is writable."
            ) from fault
        try:
            self._write(self._rows.head)
            yield
        finally:
            with contextlib.suppress(OSError):  # what is not written yet is discarded
                self._file.close()
            self._partial.unlink(missing_ok=True)

    def write(self, picture: PictureDescription) -> None:
        """Write the row of a picture.

        Raises:
            GaveUp: the file cannot be written.
        """
        self._write(self._rows.line(picture))

    def complete(self) -> None:
        """Write the end, and replace the file `path` by this one durably.

        Raises:
            GaveUp: the file cannot be written.
        """
        self._write(self._rows.end)
        with self._disk_errors():
            assert self._file  # noqa: S101 - it is open
            self._file.flush()
            os.fsync(self._file.fileno())
            self._partial.replace(self._path)
            flush_folder(self._path.parent)

    def _write(self, text: str) -> None:
        with self._disk_errors():
            assert self._file  # noqa: S101 - it is open
            self._file.write(text)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise GaveUp(f"Cannot write {self._partial} ({fault.strerror}).") from fault
