"""The bytes of an upload as they arrive: checked, and written to a file on the local disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import open_file

from pipeline.formats.registry import HEAD_BYTES, recognise_head
from proxy.errors import TooManyBytes, UnfitUpload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.formats.registry import Readable
    from proxy.intake.uploads.order import UploadOrder


class Arrival:
    """An upload that is checked against its order while it arrives; `max_bytes` is the limit of all originals."""

    def __init__(self, order: UploadOrder, *, max_bytes: int) -> None:
        self._order = order
        self._max_bytes = max_bytes

    def check_announced(self, announced: int | None) -> None:
        """Raise if the announced length is not the ordered one, or exceeds the limit; None if there is none.

        Raises:
            TooManyBytes, UnfitUpload: see above.
        """
        self._check_limit(announced or 0)
        if announced is not None:
            self._check_length(announced)

    async def save(self, chunks: AsyncIterator[bytes], path: Path) -> str:
        """Write all bytes to `path`, and return their content type, which their first bytes show.

        Raises:
            NotAnImage, UnsupportedFormat: the file is no original.
            UnfitUpload: it has another type or length than was ordered.
            TooManyBytes: it exceeds the limit; what is beyond it is not read.
        """
        head, arrived, readable = b"", 0, None
        async with await open_file(path, "wb") as file:
            async for chunk in chunks:
                arrived += len(chunk)
                self._check_limit(arrived)
                if readable is None:
                    head += chunk
                    readable = self._checked(head) if len(head) >= HEAD_BYTES else None
                await file.write(chunk)
        self._check_length(arrived)
        return (readable or self._checked(head)).content_type

    def _checked(self, head: bytes) -> Readable:
        readable = recognise_head(head[:HEAD_BYTES])
        if self._order.content_type not in ("", readable.content_type):
            raise UnfitUpload(
                f"The file is {readable.content_type}, but {self._order.content_type} was ordered; upload that."
            )
        return readable

    def _check_limit(self, size: int) -> None:
        if size > self._max_bytes:
            raise TooManyBytes(f"The file has more than the limit of {self._max_bytes:,} bytes; upload a smaller one.")

    def _check_length(self, size: int) -> None:
        if self._order.bytes not in (0, size):
            raise UnfitUpload(f"The file has {size:,} bytes, but {self._order.bytes:,} were ordered; upload that file.")
