"""The pool of render processes: every render has a slot, a memory reservation and a deadline."""

from __future__ import annotations

import math
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, TypeVar

import structlog

from pipeline.errors import BY_CODE, NeedsTooMuchMemory, Refused
from pipeline.protocol import Derived, Probe, Probed, Refusal, Render
from pipeline.size import Size
from proxy import metrics
from proxy.concurrency.admission import Priority, Ticket
from proxy.concurrency.timings import Timings
from proxy.errors import DeadlineExceeded, ProcessDied, UnexpectedError
from proxy.rendering.process import RenderProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pipeline.protocol import Answer, ImageInfo, Question
    from proxy.concurrency.admission import Admission

log = structlog.get_logger(__name__)

T = TypeVar("T", bound="Answer")

PROBE_BYTES = 44_000_000
"""The peak memory of a process that reads headers: 43 MB after the 369 hostile files of the corpus, 30 MB after the 70
photographs. This much must be free before anything is known of an original."""

PROBE_SECONDS = 10.0
"""The timeout for reading a header. On a busy machine it took 11 ms for the median photograph, and 1.2 s for the worst
hostile file."""

IDLE_BYTES = 20_000_000
"""The memory of an idle process alone: 19 MB after the 70 photographs. It shares another 24 MB of libraries with the
processes at work, and every render's prediction includes these."""

RECENT_SECONDS = 5.0
"""For how long a successful render proves that rendering works."""

TINY_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000200000002080000000057dd52f80000000e4944415478da6370686038f01f0005c5028045"
    "fe74bd0000000049454e44ae426082"
)
"""A grey PNG of 2 x 2 pixels, for testing a process."""

_MEGA = 1_000_000


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
    """A pool of reusable render processes; `admission` limits how many work at once."""

    def __init__(
        self,
        *,
        admission: Admission,
        deadline_seconds: float,
        work_folder: Callable[[], Path] = temporary_folder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._admission = admission
        self._deadline_seconds = deadline_seconds
        self._work_folder = work_folder
        self._idle: list[RenderProcess] = []
        self._at_work: set[RenderProcess] = set()
        self._is_closed = False
        self._libvips = ""
        self._clock = clock
        self._last_answer = clock() - RECENT_SECONDS
        self._began: dict[object, float] = {}
        """When each request that is running now began."""

    @property
    def libvips(self) -> str:
        """The libvips version reported by the process that started last; empty before `start`."""
        return self._libvips

    @property
    def budget_bytes(self) -> int:
        """How much memory all renders together may use."""
        return self._admission.budget_bytes

    @property
    def reserved_bytes(self) -> int:
        """How much of the budget is reserved, by renders and by idle processes."""
        return self._admission.reserved_bytes + len(self._idle) * IDLE_BYTES

    async def start(self) -> None:
        """Start one process, so that a broken installation fails now and the first request does not wait."""
        metrics.render_budget_bytes.set(self._admission.budget_bytes)
        metrics.render_reserved_bytes.set_function(lambda: self.reserved_bytes)
        self._idle.append(await self._process())

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
        self._is_closed = True
        for process in (*self._idle, *self._at_work):
            await process.kill()
        self._idle.clear()

    async def render(self, question: Render, ticket: Ticket, timings: Timings | None = None) -> RenderResult:
        """Render an original in a process, after reserving a slot and memory.

        Durations are added to `timings`, on failure too. Cancelling the caller kills the process, because a running
        render cannot be stopped otherwise.

        Raises:
            Busy: no slot or memory was granted in time.
            Refused: the original cannot be rendered, see `pipeline.errors`.
            DeadlineExceeded: the render timed out; its process was killed.
            ProcessDied: the process died during the render.
            UnexpectedError: our code in the process failed.
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
            self._last_answer = self._clock()
            return derived

    async def _probe(self, question: Render) -> ImageInfo:
        """Read the header in a render process: this process never reads an original."""
        probe = Probe(path=question.path, sizes=question.sizes, limits=question.limits)
        return (await self._request(probe, Probed, seconds=PROBE_SECONDS)).info

    def _refuse_over_budget(self, needed_bytes: int) -> None:
        budget_bytes = self._admission.budget_bytes
        if needed_bytes > budget_bytes:
            raise NeedsTooMuchMemory(
                f"Rendering this image needs {needed_bytes / _MEGA:.0f} MB of memory, but the limit is "
                f"{budget_bytes / _MEGA:.0f} MB; upload a smaller image, or this one as a baseline JPEG."
            )

    async def _request(self, question: Question, kind: type[T], *, seconds: float) -> T:
        with self._running():
            return _expected(await self._ask(question, seconds=seconds), kind)

    @contextmanager
    def _running(self) -> Iterator[None]:
        request = object()
        self._began[request] = self._clock()
        try:
            yield
        finally:
            del self._began[request]

    async def _ask(self, question: Question, *, seconds: float) -> Answer:
        await self._free_memory()
        process = await self._idle_or_new_process()
        self._at_work.add(process)
        try:
            answer = await process.ask(question, deadline_seconds=seconds)
        except TimeoutError:
            _count_death("deadline")
            raise DeadlineExceeded(
                f"Rendering took longer than {seconds:g} s; try again, or upload a smaller original."
            ) from None
        except ProcessDied:
            _count_death("died")
            raise
        except UnexpectedError:  # it answered, and was replaced: no death
            raise
        except BaseException:  # cancelled
            _count_death("cancelled")
            raise
        finally:
            self._at_work.discard(process)
        self._idle.append(process)
        return answer

    async def _free_memory(self) -> None:
        """Kill idle processes while a render needs their memory, but keep one for the current request."""
        while len(self._idle) > 1 and self.reserved_bytes - IDLE_BYTES > self._admission.budget_bytes:
            await self._idle.pop(0).kill()

    async def _idle_or_new_process(self) -> RenderProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
            _count_death("idle")
            await process.kill()
        return await self._process()

    async def _process(self) -> RenderProcess:
        process = await RenderProcess.start(
            work_folder=self._work_folder(), cpu_seconds=2 * math.ceil(self._deadline_seconds)
        )
        if self._is_closed:  # during the start: no other code would kill it
            await process.kill()
            raise ProcessDied("The service is shutting down and renders nothing more.")
        self._libvips = process.libvips
        return process


def _count_death(cause: str) -> None:
    metrics.render_process_deaths_total.labels(cause).inc()


def _expected(answer: Answer, kind: type[T]) -> T:
    """Return a response of the expected kind; raise a refusal as its error."""
    if isinstance(answer, Refusal):
        log.info("original_refused", code=answer.code, cause=answer.cause)
        raise BY_CODE.get(answer.code, Refused)(answer.detail)
    if not isinstance(answer, kind):
        raise ProcessDied(f"The render process returned {type(answer).__name__} instead of {kind.__name__}.")
    return answer


def _tiny_question(folder: Path) -> Render:
    path = folder / "original"
    path.write_bytes(TINY_PICTURE)
    return Render(path=str(path), folder=str(folder), sizes=(Size(name="tiny", width=1),))
