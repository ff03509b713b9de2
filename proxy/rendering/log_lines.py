"""The standard error of other processes, as bounded lines in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

log = structlog.get_logger(__name__)

LOGGED_BYTES = 4096
"""The part of a line that is logged; a decoder may write any number of bytes without a line break."""

LOGGED_LINES = 100
"""The lines of one process that are logged; an original may make a decoder write any number of them."""

_PIECE_BYTES = 64 * 1024


async def log_lines(stream: asyncio.StreamReader, *, pid: int) -> None:
    """Log the first `LOGGED_LINES` lines of the stream, each cut after `LOGGED_BYTES`; read it to its end."""
    count = 0
    async for line in _lines(stream):
        count += 1
        if count <= LOGGED_LINES:
            log.warning("render_process_stderr", line=line, pid=pid)
    if count > LOGGED_LINES:
        log.warning("render_process_stderr", line=f"[{count - LOGGED_LINES} more lines]", pid=pid)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield the lines of a stream, each cut after `LOGGED_BYTES`, with a note of how many bytes were left out."""
    line, left_out = b"", 0
    while piece := await stream.read(_PIECE_BYTES):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            line, left_out = _cut(line + end, left_out)
            yield _shown(line, left_out)
            line, left_out = b"", 0
        line, left_out = _cut(line + rest, left_out)
    if line:
        yield _shown(line, left_out)


def _cut(line: bytes, left_out: int) -> tuple[bytes, int]:
    return line[:LOGGED_BYTES], left_out + len(line[LOGGED_BYTES:])


def _shown(line: bytes, left_out: int) -> str:
    text = line.decode(errors="replace").rstrip()
    return f"{text} [{left_out} more bytes]" if left_out else text
