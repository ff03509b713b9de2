"""The pool of render processes: pixels happen in them, within a share of slots and memory, and a deadline."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import BY_CODE, NeedsTooMuchMemory, Refused
from pipeline.protocol import Derived, Probe, Probed, Refusal, Render
from pipeline.size import Size
from proxy import metrics
from proxy.concurrency.admission import Priority, Ticket
from proxy.concurrency.timings import Timings
from proxy.errors import DeadlineExceeded, ProcessDied
from proxy.rendering.process import RenderProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pipeline.protocol import Answer, ImageInfo, Question
    from proxy.concurrency.admission import Admission

T = TypeVar("T", bound="Answer")

PROBE_BYTES = 44_000_000
"""What a process holds at most when it reads headers: 43 MB after the 369 hostile files of the corpus, 30 MB after the
70 photographs. So much has to be free before anything is known of an original."""

PROBE_SECONDS = 10.0
"""How long reading a header may take: 11 ms in the median of the photographs, 1.2 s for the worst of the hostile files,
on a busy machine."""

IDLE_BYTES = 20_000_000
"""What an idle process keeps for itself: 19 MB after the 70 photographs. The 24 MB of libraries beside that it shares
with those at work, of whose renders each is counted with them."""

RECENT_SECONDS = 5.0
"""How long a render that went well shows that all is well."""

TINY_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000200000002080000000057dd52f80000000e4944415478da6370686038f01f0005c5028045"
    "fe74bd0000000049454e44ae426082"
)
"""A grey PNG of 2 x 2 pixels, for trying a process."""

_MEGA = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderResult:
    """What came of a question, after how long in line and how long at work."""

    derived: Derived
    wait_seconds: float
    render_seconds: float


def temporary_folder() -> Path:
    """Name the machine's folder for temporary files."""
    return Path(gettempdir())


class RenderPool:
    """Render processes that are kept and reused, never more at work than the limiter lets in."""

    def __init__(
        self, *, admission: Admission, deadline_seconds: float, work_folder: Callable[[], Path] = temporary_folder
    ) -> None:
        self._admission = admission
        self._deadline_seconds = deadline_seconds
        self._work_folder = work_folder
        self._idle: list[RenderProcess] = []
        self._at_work: set[RenderProcess] = set()
        self._is_closed = False
        self._libvips = ""
        self._last_answer = time.monotonic() - RECENT_SECONDS

    @property
    def libvips(self) -> str:
        """The version of libvips that renders, as the last process that started said it; empty before `start`."""
        return self._libvips

    @property
    def budget_bytes(self) -> int:
        """How much memory all renders together may use."""
        return self._admission.budget_bytes

    @property
    def reserved_bytes(self) -> int:
        """How much of the budget is spoken for: by renders, and by processes that wait for one."""
        return self._admission.reserved_bytes + len(self._idle) * IDLE_BYTES

    async def start(self) -> None:
        """Start one process, so that the first caller does not wait for it and a broken installation shows at once."""
        metrics.render_budget_bytes.set(self._admission.budget_bytes)
        metrics.render_reserved_bytes.set_function(lambda: self.reserved_bytes)
        self._idle.append(await self._process())

    def admit(self, ticket: Ticket) -> AbstractContextManager[None]:
        """Hold a place on the way to a share; see `Admission.place`."""
        return self._admission.admit(ticket)

    async def check(self) -> None:
        """Return when a render went well a moment ago, or a tiny one does now; raise what is wrong otherwise.

        It waits for nobody's share. Where others hold them all it returns at once: they are at work. Only if none has
        ended well for so long that each must have met its deadline, renders hang.

        Raises:
            DeadlineExceeded: renders hang.
        """
        silent_seconds = time.monotonic() - self._last_answer
        if silent_seconds < RECENT_SECONDS:
            return
        if not self._admission.would_admit(PROBE_BYTES):
            if silent_seconds > 2 * self._deadline_seconds:
                raise DeadlineExceeded(f"All renders hang: none has ended well for {silent_seconds:.0f} s.")
            return
        with TemporaryDirectory(prefix="check-", dir=self._work_folder()) as folder:
            await self.render(_tiny_question(Path(folder)), Ticket(Priority.PAGE))

    async def close(self) -> None:
        """End every process, also those at work: nobody is there any more who could take their answers."""
        self._is_closed = True
        for process in (*self._idle, *self._at_work):
            await process.kill()
        self._idle.clear()

    async def render(self, question: Render, ticket: Ticket, timings: Timings | None = None) -> RenderResult:
        """Ask a process for derivatives, once there is a share of slots and memory.

        Where the time goes is counted in `timings`, whatever comes of it. A caller that is cancelled takes its process
        with it: what a process does cannot be taken back otherwise.

        Raises:
            Busy: its turn did not come in time.
            Refused: what is wrong with the original, from `pipeline.errors`.
            DeadlineExceeded: it took too long; the process was killed.
            ProcessDied: the process died under it.
        """
        own = Timings()
        try:
            derived = await self._render(question, ticket, own)
        finally:
            if timings:
                timings.add(own)
        return RenderResult(derived=derived, wait_seconds=own.wait_seconds, render_seconds=own.render_seconds)

    async def _render(self, question: Render, ticket: Ticket, timings: Timings) -> Derived:
        async with AsyncExitStack() as stack:
            with timings.measure_wait():
                reservation = await stack.enter_async_context(self._admission.reserve(ticket, PROBE_BYTES))
            with timings.measure_render():
                needed_bytes = (await self._probe(question)).render_bytes
                self._refuse_over_budget(needed_bytes)
            with timings.measure_wait():
                await self._admission.resize(reservation, needed_bytes)
            with timings.measure_render():
                derived = await self._request(question, Derived, seconds=self._deadline_seconds)
            self._last_answer = time.monotonic()
            return derived

    async def _probe(self, question: Render) -> ImageInfo:
        """Read a header in a process too: nothing of an original is read in this one."""
        probe = Probe(path=question.path, sizes=question.sizes, limits=question.limits)
        return (await self._request(probe, Probed, seconds=PROBE_SECONDS)).info

    def _refuse_over_budget(self, needed_bytes: int) -> None:
        budget_bytes = self._admission.budget_bytes
        if needed_bytes > budget_bytes:
            raise NeedsTooMuchMemory(
                f"Rendering this picture takes {needed_bytes / _MEGA:.0f} MB of memory, and there are "
                f"{budget_bytes / _MEGA:.0f} MB for it; a smaller one may do, or the same as a baseline JPEG."
            )

    async def _request(self, question: Question, kind: type[T], *, seconds: float) -> T:
        await self._free_memory()
        process = await self._idle_or_new_process()
        self._at_work.add(process)
        try:
            async with asyncio.timeout(seconds):
                answer = await process.ask(question)
        except TimeoutError:
            await self._discard(process, cause="deadline")
            raise DeadlineExceeded(f"Rendering took longer than {seconds:g} s; a smaller original may do.") from None
        except ProcessDied:
            await self._discard(process, cause="died")
            raise
        except BaseException:  # cancelled, or an answer that makes no sense: what it does now cannot be known
            await self._discard(process, cause="cancelled")
            raise
        finally:
            self._at_work.discard(process)
        self._idle.append(process)
        return _expected(answer, kind)

    async def _free_memory(self) -> None:
        """Close idle processes where a render is going to need their memory; one of them is to be asked now."""
        while len(self._idle) > 1 and self.reserved_bytes - IDLE_BYTES > self._admission.budget_bytes:
            await self._idle.pop(0).kill()

    async def _idle_or_new_process(self) -> RenderProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
            await self._discard(process, cause="idle")
        return await self._process()

    async def _process(self) -> RenderProcess:
        process = await RenderProcess.start(
            work_folder=self._work_folder(), cpu_seconds=2 * math.ceil(self._deadline_seconds)
        )
        if self._is_closed:  # meanwhile, so that nobody would end it
            await process.kill()
            raise ProcessDied("The service stops, so nothing is rendered any more.")
        self._libvips = process.libvips
        return process

    async def _discard(self, process: RenderProcess, *, cause: str) -> None:
        metrics.render_process_deaths_total.labels(cause).inc()
        await process.kill()


def _expected(answer: Answer, kind: type[T]) -> T:
    """Give an answer of the kind that the question asks for; raise what is wrong with the original."""
    if isinstance(answer, Refusal):
        raise BY_CODE.get(answer.code, Refused)(answer.detail)
    if not isinstance(answer, kind):
        raise ProcessDied(f"The render process answered {type(answer).__name__}, not {kind.__name__}.")
    return answer


def _tiny_question(folder: Path) -> Render:
    path = folder / "original"
    path.write_bytes(TINY_PICTURE)
    return Render(path=str(path), folder=str(folder), sizes=(Size(name="tiny", width=1),))
