"""A job as its page shows it: the steps so far, the sizes as pictures, and what to do if it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from proxy.jobs.job import ABANDONED, CANCELLED
from proxy.ui import show
from proxy.ui.addresses import job_path, picture_path, stored_path
from proxy.ui.views.size_view import SizeView

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from proxy.jobs.job import Job
    from proxy.ui.views.picture_view import PictureView

State = Literal["done", "now", "failed", "later"]

TONES: Final[Mapping[str, str]] = {"queued": "quiet", "processing": "warn", "done": "good", "error": "bad"}
"""The class of the badge of each status."""

WORDS: Final[Mapping[str, str]] = {"queued": "waiting", "processing": "running", "done": "done", "error": "failed"}

OUR_CODES: Final = frozenset({ABANDONED, CANCELLED})
"""Codes of jobs alone, which no response has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStep:
    """A step of a job."""

    state: State
    title: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job with everything that its page shows."""

    job: Job
    steps: tuple[JobStep, ...]
    sizes: tuple[SizeView, ...]
    picture: PictureView | None = None
    """Its picture as the store has it now, once sizes are there."""

    @property
    def original_bytes(self) -> int:
        """The length of its original; 0 if it is unknown."""
        return self.picture.original_bytes if self.picture else 0

    @property
    def path(self) -> str:
        """The path of its page."""
        return job_path(self.job.id)

    @property
    def picture_path(self) -> str:
        """The path of the page of its picture."""
        return picture_path(self.job.key)

    @property
    def tone(self) -> str:
        """The class of its badge."""
        return "quiet" if self.is_cancelled else TONES[self.job.status]

    @property
    def word(self) -> str:
        """Its status in one word."""
        if self.is_cancelled:
            return "cancelled"
        return "retries" if self.job.retry else WORDS[self.job.status]

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled on request."""
        return bool(self.job.error and self.job.error.code == CANCELLED)

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it will change."""
        return self.job.status in ("done", "error")

    @property
    def can_replay(self) -> bool:
        """Whether it can run again."""
        return self.has_ended and self.job.takedown is None

    @property
    def problem_path(self) -> str:
        """The path of the page about its error; empty if there is none."""
        code = self.job.error.code if self.job.error else self.job.retry.code if self.job.retry else ""
        return f"/problems/{code}" if code and code not in OUR_CODES else ""

    @property
    def reason(self) -> str:
        """Why it failed, or waits for a retry, and what to do."""
        return self.job.error.detail if self.job.error else self.job.retry.detail if self.job.retry else ""

    @property
    def seconds(self) -> float | None:
        """How long it took from its post to its end."""
        if self.job.finished_at is None or self.job.created_at is None:
            return None
        return (self.job.finished_at - self.job.created_at).total_seconds()


def job_view(job: Job, *, picture: PictureView | None = None, there: Collection[str] | None = None) -> JobView:
    """Return what the page of a job shows.

    `picture` is what the store has now, and `there` has the keys of its derivatives that still exist; each None if that
    is unknown.
    """
    original_bytes = picture.original_bytes if picture else 0
    ready = {name: show.duration(seconds) for name, seconds in _ready(job)}
    version = f"{job.finished_at.timestamp():.0f}" if job.finished_at else ""
    sizes = tuple(
        SizeView(
            name=one.size,
            key=one.key,
            path=stored_path(one.key, version=version) if there is None or one.key in there else "",
            url=one.url,
            width=one.width,
            height=one.height,
            bytes=one.bytes,
            content_type=one.content_type,
            saving=show.saving(original_bytes, one.bytes),
            ready=ready.get(one.size, ""),
        )
        for one in job.derivatives
    )
    return JobView(job=job, steps=tuple(_steps(job)), sizes=sizes, picture=picture)


def _steps(job: Job) -> Iterator[JobStep]:
    yield JobStep(state="done", title="Accepted and queued", detail=show.when(job.created_at))
    what = "Take down" if job.takedown else "Render"
    if job.retry:
        yield JobStep(
            state="failed",
            title=f"Attempt {job.attempts} failed; the next one follows {show.ago(job.retry.at)}",
            detail=job.retry.detail,
        )
    if job.status == "queued":
        yield JobStep(state="now", title="Waits for a worker")
        yield JobStep(state="later", title=what)
    elif job.status == "processing":
        yield JobStep(state="done", title="Taken by a worker", detail=f"attempt {job.attempts}")
        yield JobStep(state="now", title=f"{what}…", detail=", ".join(one.size for one in job.sizes))
    else:
        yield from _ended(job, what)


def _ended(job: Job, what: str) -> Iterator[JobStep]:
    times = _split(job)
    if job.status == "error":
        title = "Cancelled" if job.error and job.error.code == CANCELLED else f"{what}: failed"
        yield JobStep(state="failed", title=title, detail=times)
    elif job.takedown:
        yield JobStep(
            state="done", title=f"Took down {len(job.takedown.removed)} files", detail=show.when(job.finished_at)
        )
    else:
        ready = ", ".join(f"{name} after {show.duration(seconds)}" for name, seconds in _ready(job))
        yield JobStep(state="done", title="Rendered", detail="; in all ".join(filter(None, (ready, times))))
        done = sum(one.status == "done" for one in job.sizes)
        yield JobStep(state="done", title=f"Stored {done} of {len(job.sizes)} sizes", detail=show.when(job.finished_at))
    if job.callback:
        state: State = {"delivered": "done", "failed": "failed"}.get(job.callback.status, "now")  # type: ignore[assignment] # a state
        yield JobStep(
            state=state, title=f"Callback to {job.callback.host}: {job.callback.status}", detail=job.callback.detail
        )


def _ready(job: Job) -> list[tuple[str, float]]:
    """Return the sizes that the last attempt rendered, in the order in which they were ready, and after how long."""
    return sorted(job.timings.ready_seconds.items(), key=lambda one: one[1]) if job.timings else []


def _split(job: Job) -> str:
    """Return where the time of the last attempt went."""
    if job.timings is None:
        return ""
    parts = (
        ("rendering", job.timings.render_seconds),
        ("store", job.timings.store_seconds),
        ("waiting", job.timings.wait_seconds),
    )
    return ", ".join(f"{name} {show.duration(seconds)}" for name, seconds in parts)
