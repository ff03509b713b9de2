"""The pool of renders: each has a slot, a memory reservation, a deadline, and a process of its own."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

from pipeline.errors import NeedsTooMuchMemory
from pipeline.protocol import Derived, Limits, ReadFacts, Render
from pipeline.size import Size
from proxy import metrics
from proxy.concurrency.admission import Priority, Ticket
from proxy.concurrency.timings import Timings
from proxy.errors import DeadlineExceeded, ProcessDied
from proxy.rendering.conversation import Conversation, facts_from
from proxy.rendering.fork_server import ForkServer
from proxy.rendering.sandbox_level import describe_sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from pipeline.facts_model import Facts
    from pipeline.protocol import ImageInfo, Probed, Rendered, SandboxLevel
    from proxy.concurrency.admission import Admission

MODULE = "pipeline.process.render_server"

PROBE_BYTES = 44_000_000
"""The memory that must be free before anything is known of an original. A child holds 24 MB at most when it has read a
header: that of any of the 70 photographs and 369 hostile files of the corpus. It shares part of them with the fork
server, whose 30 MB a render includes."""

PROBE_SECONDS = 10.0
"""The timeout for reading a header. On a busy machine it took 11 ms for the median photograph, and 1.2 s for the worst
hostile file."""

IDLE_BYTES = 30_000_000
"""The memory of the fork server: 13 MB of its own, and 17 MB of libraries. Its children share most of both, so the
prediction of a render includes it."""

RECENT_SECONDS = 5.0
"""For how long a successful render proves that rendering works."""

TINY_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000200000002080000000057dd52f80000000e4944415478da6370686038f01f0005c5028045"
    "fe74bd0000000049454e44ae426082"
)
"""A grey PNG of 2 x 2 pixels, for testing a process."""

_MEGA = 1_000_000

COPIED = frozenset({"jpeg", "png", "webp"})
"""The formats that a size with `strip_only` copies, without a decode, if they are stored upright."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderResult:
    """The derivatives of one request, and the seconds it waited and rendered."""

    derived: Derived
    wait_seconds: float
    render_seconds: float


def temporary_folder() -> Path:
    """Return the machine's folder for temporary files."""
    return Path(gettempdir())


class RenderPool:
    """Renders each original in a process of its own; `admission` limits how many work at once."""

    def __init__(
        self,
        *,
        admission: Admission,
        deadline_seconds: float,
        sandbox: SandboxLevel = "best",
        work_folder: Callable[[], Path] = temporary_folder,
        clock: Callable[[], float] = time.monotonic,
        module: str = MODULE,
    ) -> None:
        self._admission = admission
        self._deadline_seconds = deadline_seconds
        self._work_folder = work_folder
        self._server = ForkServer(
            module,
            cpu_seconds=2 * math.ceil(deadline_seconds),
            sandbox=sandbox,
            work_folder=work_folder,
            on_lost=lambda: _count_death("idle"),
        )
        self._clock = clock
        self._last_answer = clock() - RECENT_SECONDS
        self._began: dict[object, float] = {}
        """When each request that is running now began."""

    @property
    def libvips(self) -> str:
        """The libvips version reported by the fork server that started last; empty before `start`."""
        return self._server.libvips

    @property
    def sandbox(self) -> str:
        """What confines renders, in words; `none` before `start`."""
        return describe_sandbox(self._server.in_force)

    @property
    def budget_bytes(self) -> int:
        """How much memory all renders together may use."""
        return self._admission.budget_bytes

    @property
    def reserved_bytes(self) -> int:
        """How much of the budget is reserved by renders, or held by the fork server while there are none."""
        return max(self._admission.reserved_bytes, IDLE_BYTES * self._server.is_running)

    async def start(self) -> None:
        """Start the fork server, so that a broken installation fails now and the first request does not wait.

        Raises:
            CannotStart: the kernel does not enforce the sandbox that is required.
            ProcessDied: the fork server does not start.
        """
        metrics.render_budget_bytes.set(self._admission.budget_bytes)
        metrics.render_reserved_bytes.set_function(lambda: self.reserved_bytes)
        await self._server.start()

    def admit(self, ticket: Ticket) -> AbstractContextManager[None]:
        """Admit the caller for the length of the block; see `Admission.admit`."""
        return self._admission.admit(ticket)

    async def check(self) -> None:
        """Return if a render succeeded recently, or if a tiny picture renders now.

        It does not wait for a reservation. While other renders hold all slots or memory it returns at once, because
        they are working. They count as hanging only if the oldest of them has been running for twice the deadline, and
        none has succeeded for as long: a render that began just now after an idle hour does not hang.

        Raises:
            DeadlineExceeded: all renders hang, or the tiny picture timed out.
            ProcessDied, Refused: the tiny picture failed to render.
        """
        now = self._clock()
        silent_seconds = now - self._last_answer
        if silent_seconds < RECENT_SECONDS:
            return
        if not self._admission.would_admit(PROBE_BYTES):
            oldest_seconds = now - min(self._began.values(), default=now)
            if min(silent_seconds, oldest_seconds) > 2 * self._deadline_seconds:
                raise DeadlineExceeded(f"All renders hang: the oldest has been running for {oldest_seconds:.0f} s.")
            return
        with TemporaryDirectory(prefix="check-", dir=self._work_folder()) as folder:
            await self.render(_tiny_question(Path(folder)), Ticket(Priority.PAGE))

    async def close(self) -> None:
        """Kill every process, including those at work: no caller waits for them any more."""
        await self._server.close()

    async def render(
        self,
        question: Render,
        ticket: Ticket,
        timings: Timings | None = None,
        *,
        on_made: Callable[[Rendered], None] | None = None,
    ) -> RenderResult:
        """Render an original in a process of its own, after reserving a slot and memory.

        `on_made` is called with each derivative as soon as its file is complete; the result has all of them. The files
        lie in `question.folder`, and nothing changes them any more. The size `question.first` is made first if the
        budget has the memory for that.

        Durations are added to `timings` as they end, on failure too; those of the result are read from it, so pass new
        ones. Cancelling the caller kills the process, because a running render cannot be stopped otherwise.

        Raises:
            Busy: no slot or memory was granted in time.
            Refused: the original cannot be rendered, see `pipeline.errors`; `on_made` may have got some sizes.
            DeadlineExceeded: the render timed out; its process was killed.
            ProcessDied: the process died during the render, or sent an invalid answer.
            UnexpectedError: our code in the process failed.
        """
        own = Timings() if timings is None else timings
        derived = await self._render(question, ticket, own, on_made or _ignore)
        return RenderResult(derived=derived, wait_seconds=own.wait_seconds, render_seconds=own.render_seconds)

    async def read_facts(self, path: Path, ticket: Ticket, *, limits: Limits | None = None) -> Facts:
        """Return the facts in the metadata of the original at `path`, after reserving a slot and the memory of a probe.

        Raises:
            Busy: no slot or memory was granted in time.
            Refused: the file is no original, see `pipeline.errors`.
            DeadlineExceeded: reading took longer than `PROBE_SECONDS`; the process was killed.
            ProcessDied: the process died, or sent an invalid answer.
            UnexpectedError: our code in the process failed.
        """
        async with self._admission.reserve(ticket, PROBE_BYTES):
            with self._watched(), TemporaryDirectory(prefix="facts-", dir=self._work_folder()) as folder:
                question = ReadFacts(path=str(path), folder=folder, limits=limits or Limits())
                async with _deadline(PROBE_SECONDS):
                    return await facts_from(await self._server.fork(), question)

    async def _render(
        self, question: Render, ticket: Ticket, timings: Timings, on_made: Callable[[Rendered], None]
    ) -> Derived:
        async with AsyncExitStack() as stack:
            with timings.measure_wait():
                reservation = await stack.enter_async_context(self._admission.reserve(ticket, PROBE_BYTES))
            with timings.measure_render():
                conversation, probed = await self._probe(question, stack)
                needed_bytes, first = self._needs(probed, question)
            with timings.measure_wait():
                await self._admission.resize(reservation, needed_bytes, before_wait=conversation.abandon)
            with timings.measure_render():
                if conversation.is_abandoned:
                    conversation, again = await self._probe(question, stack)
                    if again != probed:
                        raise ProcessDied("The render process answered otherwise than before.")
                derived = await self._make(conversation, question, probed.info, first, on_made)
            self._last_answer = self._clock()
            return derived

    async def _probe(self, question: Render, stack: AsyncExitStack) -> tuple[Conversation, Probed]:
        """Read the header in a child, which waits then: this process never reads an original."""
        with self._watched():
            conversation = Conversation(await self._server.fork(), question, libvips=self._server.libvips)
            await stack.enter_async_context(conversation)
            async with _deadline(PROBE_SECONDS):
                return conversation, await conversation.probe()

    async def _make(
        self,
        conversation: Conversation,
        question: Render,
        info: ImageInfo,
        first: str,
        on_made: Callable[[Rendered], None],
    ) -> Derived:
        made: dict[str, Rendered] = {}
        with self._watched():
            async with _deadline(self._deadline_seconds):
                async for derivative in conversation.render(info, first=first):
                    made[derivative.size] = derivative
                    on_made(derivative)
        return Derived(info=info, derivatives=tuple(made[size.name] for size in question.sizes if size.name in made))

    def _needs(self, probed: Probed, question: Render) -> tuple[int, str]:
        """Return the bytes that a render needs, and the size that is made first if there is the memory for it."""
        needed_bytes = max(probed.info.render_bytes, PROBE_BYTES)
        self._refuse_over_budget(needed_bytes, probed.info, question)
        if question.first and needed_bytes + probed.first_bytes <= self._admission.budget_bytes:
            return needed_bytes + probed.first_bytes, question.first
        return needed_bytes, ""

    def _refuse_over_budget(self, needed_bytes: int, info: ImageInfo, question: Render) -> None:
        budget_bytes = self._admission.budget_bytes
        if needed_bytes > budget_bytes:
            raise NeedsTooMuchMemory(
                f"Rendering this image needs {needed_bytes / _MEGA:.0f} MB of memory, but the limit is "
                f"{budget_bytes / _MEGA:.0f} MB; upload {remedy(info, question)}."
            )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Note when a request began, for `check`."""
        request = object()
        self._began[request] = self._clock()
        try:
            yield
        finally:
            del self._began[request]


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Limit the time of the block, and count the death of a process in it."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        _count_death("deadline")
        raise DeadlineExceeded(
            f"Rendering took longer than {seconds:g} s; try again, or upload a smaller original."
        ) from None
    except ProcessDied:
        _count_death("died")
        raise
    except asyncio.CancelledError:
        _count_death("cancelled")
        raise


def _count_death(cause: str) -> None:
    metrics.render_process_deaths_total.labels(cause).inc()


def remedy(info: ImageInfo, question: Render) -> str:
    """Return what to upload instead of an original that needs too much memory."""
    alone = [size for size in question.sizes if size.strip_only and size.name in question.wanted]
    if alone and info.orientation > 1 and info.format in COPIED:
        return "a smaller image, or this one stored upright"
    if info.format == "jpeg" and not info.is_progressive:
        return "a smaller image"
    return "a smaller image, or this one as a baseline JPEG"


def _ignore(_: Rendered) -> None:
    """Do nothing with a derivative: the caller waits for all of them."""


def _tiny_question(folder: Path) -> Render:
    path = folder / "original"
    path.write_bytes(TINY_PICTURE)
    return Render(path=str(path), folder=str(folder), sizes=(Size(name="tiny", width=1),))
