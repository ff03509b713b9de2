"""The files that a child has made: checked, and copied to where no child can change them."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from pipeline.formats.registry import HEAD_BYTES, READABLE, WRITABLE, content_type_of, highest, output
from pipeline.protocol import Rendered
from pipeline.size import render_profile
from proxy.errors import ProcessDied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.formats.registry import Writable
    from pipeline.protocol import ImageInfo, Render
    from pipeline.size import Size

_PIXEL_BYTES = 8
"""Bytes per pixel of a derivative: more than any encoder writes, at any quality."""

_SPARE_BYTES = 1 << 20
"""Bytes of a derivative beside its pixels, such as a profile."""

_BY_CONTENT_TYPE = {writable.content_type: writable for writable in WRITABLE.values()}


@dataclass(frozen=True, slots=True)
class MadeFiles:
    """The folder `made` for one child to write to; its files are copied to `kept`, to which the child has no access.

    `made_fd` and `kept_fd` are descriptors of both folders: whatever a child does to a path, they stay the same.
    """

    made: Path
    made_fd: int
    kept: Path
    kept_fd: int

    def take(self, size: Size, question: Render, info: ImageInfo, *, libvips: str) -> Rendered:
        """Copy the file of a size; return the copy with its properties, none of which the child has stated.

        Raises:
            ProcessDied: there is no plain file of the format and of bounded size.
            OSError: the copy cannot be written.
        """
        readable = READABLE[info.format]
        most = highest(readable, size, has_alpha=info.has_alpha)
        width, height = size.dimensions(width=info.width, height=info.height, highest=most)
        frames = info.frames if size.animate else 1
        most_bytes = Path(question.path).stat().st_size + _SPARE_BYTES + width * height * frames * _PIXEL_BYTES
        with _opened(size.name, within=self.made_fd) as file:
            length = _checked_length(file, most_bytes)
            writable = _format(file, _possible(size, info))
            name = f"{size.name}{writable.extension}"
            self._copy(file, length, name)
        with suppress(OSError):
            os.unlink(size.name, dir_fd=self.made_fd)
        return Rendered(
            size=size.name,
            path=str(self.kept / name),
            width=width,
            height=height,
            bytes=length,
            content_type=writable.content_type,
            profile=render_profile(size, among=question.sizes, libvips=libvips),
        )

    def _copy(self, file: int, length: int, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.kept_fd)
        copy = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self.kept_fd)
        try:
            position = 0
            while position < length:
                sent = os.sendfile(copy, file, position, length - position)
                if not sent:
                    raise _invalid()
                position += sent
        finally:
            os.close(copy)


@contextmanager
def made_files(kept: Path) -> Iterator[MadeFiles]:
    """Yield an empty folder below `kept` for a child, which is removed after the block if it is empty again."""
    made = Path(mkdtemp(prefix="made-", dir=kept))
    made_fd, kept_fd = (os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) for path in (made, kept))
    try:
        yield MadeFiles(made, made_fd, kept, kept_fd)
    finally:
        os.close(made_fd)
        os.close(kept_fd)
        with suppress(OSError):  # otherwise it is removed with `kept`
            made.rmdir()


@contextmanager
def _opened(name: str, *, within: int) -> Iterator[int]:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=within)
    except OSError:
        raise _invalid() from None
    try:
        yield file
    finally:
        os.close(file)


def _checked_length(file: int, most_bytes: int) -> int:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or not 0 < status.st_size <= most_bytes:
        raise _invalid()
    return status.st_size


def _possible(size: Size, info: ImageInfo) -> set[str]:
    """Return the names of the formats that a derivative may have; alpha may turn out to be opaque."""
    readable = READABLE[info.format]
    possible: set[str] = {output(readable, size, has_alpha=alpha).name for alpha in (info.has_alpha, False)}
    return possible | {"webp"} if size.animate and readable.animates else possible


def _format(file: int, possible: set[str]) -> Writable:
    writable = _BY_CONTENT_TYPE.get(content_type_of(os.pread(file, HEAD_BYTES, 0)) or "")
    if writable is None or writable.name not in possible:
        raise _invalid()
    return writable


def _invalid() -> ProcessDied:
    return ProcessDied("The render process sent an invalid derivative.")
