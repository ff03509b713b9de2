"""The conversation with a child about one original: it probes, waits for memory, and renders size by size."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec
import structlog

from pipeline.formats.registry import READABLE
from pipeline.protocol import Finished, Made, Probed, Proceed, Refusal, Summary
from pipeline.size import base_size
from proxy.errors import ProcessDied
from proxy.rendering.answers import MOST_BYTES, check_info, check_preview
from proxy.rendering.made_files import made_files
from proxy.rendering.refusals import refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.protocol import ImageInfo, Preview, Render, Rendered
    from proxy.rendering.child import Child

T = TypeVar("T", Probed, Made, Finished)

log = structlog.get_logger(__name__)


class Conversation:
    """A conversation with `child` about `question`; it ends with the `with` block, and the child with it."""

    def __init__(self, child: Child, question: Render, *, libvips: str) -> None:
        self._child = child
        self._question = question
        self._libvips = libvips
        self._folders = ExitStack()
        self._taking: asyncio.Future[Rendered] | None = None
        """The copy of a derivative that runs in a thread."""
        self.is_abandoned = False

    async def __aenter__(self) -> Self:
        """Return the conversation."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the child, and remove its folder."""
        with self._folders:
            await self._child.end()
            if self._taking:  # the caller was cancelled, but not the thread
                await asyncio.wait({self._taking})

    def abandon(self) -> None:
        """Kill the child, because its memory is needed."""
        self.is_abandoned = True
        self._child.kill()

    async def probe(self) -> Probed:
        """Return what the child reports of the original's header.

        Raises:
            Refused: the original cannot be rendered.
            ProcessDied, UnexpectedError: see `Child.receive`.
        """
        self._files = self._folders.enter_context(made_files(Path(self._question.folder)))
        self._child.send(msgspec.structs.replace(self._question, folder=str(self._files.made)))
        probed = await self._expect(Probed)
        check_info(probed.info, self._question.limits)
        if not 0 <= probed.first_bytes <= MOST_BYTES:
            raise ProcessDied("The render process sent an answer with values that are out of range.")
        return probed

    async def render(self, info: ImageInfo, *, first: str) -> AsyncIterator[Rendered]:
        """Yield each wanted derivative once it is complete; the memory for them must be reserved.

        Raises:
            Refused: the original cannot be rendered.
            ProcessDied, UnexpectedError: see `Child.receive`.
        """
        sizes, base = {size.name: size for size in self._question.sizes}, base_size(self._question.sizes).name
        left = set(self._question.wanted or sizes)
        self._child.send(Proceed(first=first))
        while left:
            made = await self._expect(Made)
            if made.size not in left:
                raise ProcessDied("The render process sent a size that is not wanted, or sent it twice.")
            check_preview(made.preview, is_base=made.size == base)
            left.remove(made.size)
            take = asyncio.to_thread(self._files.take, sizes[made.size], self._question, info, libvips=self._libvips)
            self._taking = asyncio.ensure_future(take)
            yield with_summary(await asyncio.shield(self._taking), info, made.preview)
        await self._expect(Finished)

    async def _expect(self, kind: type[T]) -> T:
        """Return the next answer, which must be of this kind, or raise a refusal as its error."""
        answer = await self._child.receive()
        if isinstance(answer, Refusal):
            fault = refused(answer)
            log.info("original_refused", code=fault.code, cause=fault.cause)
            raise fault
        if not isinstance(answer, kind):
            raise ProcessDied(f"The render process sent {type(answer).__name__} instead of {kind.__name__}.")
        return answer


def with_summary(rendered: Rendered, info: ImageInfo, preview: Preview | None) -> Rendered:
    """Return a derivative with the summary of the picture, if it has a preview."""
    if preview is None:
        return rendered
    summary = Summary(
        width=info.width,
        height=info.height,
        format=info.format,
        animated=READABLE[info.format].animates and info.frames > 1,
        preview=preview,
    )
    return msgspec.structs.replace(rendered, summary=summary)
