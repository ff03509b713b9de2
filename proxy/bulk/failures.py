"""The file that names the originals that failed: one JSON document a line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from anyio import open_file

from proxy.errors import CannotStart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class FailedOriginal(msgspec.Struct, frozen=True, kw_only=True):
    """An original that failed: the stable code of what is wrong, a sentence that says what to do."""

    key: str
    code: str = ""
    detail: str = ""


def append(path: Path, failure: FailedOriginal) -> None:
    """Add a failure; when this returns, it stays. Half a line, left by a lost machine, is cut off first."""
    with path.open("a+b") as file:
        file.truncate(_whole_lines(path))
        file.write(msgspec.json.encode(failure) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(path: Path) -> int:
    """Count the bytes up to the end of the last line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_LINE))
        return file.tell() + file.read().rfind(b"\n") + 1


_LONGEST_LINE = 1 << 16
"""Bytes. A key has 1,024 at most, a sentence some hundreds."""


def _failure(line: bytes) -> FailedOriginal | None:
    """Read a line; None where it is half of one, whose original had not ended yet when the machine was lost."""
    try:
        return msgspec.json.decode(line, type=FailedOriginal)
    except msgspec.DecodeError:
        if line.endswith(b"\n"):
            raise
        return None


async def keys(path: Path) -> AsyncIterator[str]:
    """Walk the keys of the originals that failed, each once.

    Raises:
        CannotStart: the file is not there, or a line of it is no failure.
    """
    number, seen = 0, set[str]()
    try:
        async with await open_file(path, "rb") as file:
            async for line in file:
                number += 1
                failure = _failure(line)
                if failure and failure.key not in seen:
                    seen.add(failure.key)
                    yield failure.key
    except OSError as fault:
        raise CannotStart(f"--retry-failed: {path} cannot be read ({fault.strerror}).") from fault
    except msgspec.DecodeError as fault:
        raise CannotStart(f"--retry-failed: line {number} of {path} is no failure ({fault}).") from fault
