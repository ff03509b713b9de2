"""The steps of `gf-images smoke`, each of which uses the service as its site does."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from pipeline.formats.gps import has_position
from proxy.errors import ImagesError
from proxy.http.routes.operations import QueueState
from proxy.http.routes.purge import Purged
from proxy.jobs.job import Job
from proxy.keys.syntax import url as url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.cli.remote.callback_listener import CallbackListener
    from proxy.cli.remote.service_client import ServiceClient

POLL_SECONDS = 0.2

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF", b"GIF8")
"""The first bytes of the formats of derivatives; AVIF is recognised by its `ftyp`."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a step."""

    step: str
    outcome: Literal["ok", "failed", "skipped"]
    seconds: float = 0.0
    detail: str = ""


class StepFailed(Exception):
    """A step found something that is not as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleStore:
    """How the sample is put into the store of the service, and removed."""

    put: Callable[[], None]
    remove: Callable[[], None]


@dataclass(slots=True, kw_only=True)
class SmokeRun:
    """A run for one original; `sample` is None if the original exists already, and is kept."""

    client: ServiceClient
    key: str
    sample: SampleStore | None
    listener: CallbackListener | None
    callback_url: str
    seconds: float
    """How long to wait for the job, and for its callback."""
    report: Callable[[Step], None]
    is_ok: bool = True
    _job: Job | None = None
    _bytes: dict[str, bytes] = field(default_factory=dict)

    def run(self) -> bool:
        """Run the steps until one fails, remove what was made, and return whether all succeeded."""
        steps: tuple[tuple[str, Callable[[], str | None]], ...] = (
            ("ready", self._check_ready),
            ("original", self._put_original),
            ("order", self._post_job),
            ("job", self._wait_for_job),
            ("callback", self._wait_for_callback),
            ("page views", self._view_pages),
            ("no position", self._check_metadata),
            ("purge", self._purge),
        )
        has_put = False
        try:
            for name, work in steps:
                has_put = has_put or name == "original"
                with self._step(name) as done:
                    done.append(work())
                if not self.is_ok:
                    break
        finally:
            if has_put:
                with self._step("clean up") as done:
                    done.append(self._clean_up())
        return self.is_ok

    def _check_ready(self) -> str:
        answer = self.client.fetch(f"{self.client.url}/readyz")
        if answer.status_code != HTTPStatus.OK:
            raise StepFailed(f"/readyz responds with {answer.status_code}: {answer.text[:200]}")
        state = self.client.get("/v1/queue", QueueState)
        if state.paused_since:
            raise StepFailed("The queue is paused, so no job would run; `gf-images jobs resume` ends that.")
        return f"{state.waiting} jobs wait, {state.workers} run at a time"

    def _put_original(self) -> str:
        if self.sample is None:
            return f"{self.key} (given by --key)"
        self.sample.put()
        return self.key

    def _post_job(self) -> str:
        order = {"key": self.key, **({"callback_url": self.callback_url} if self.listener else {})}
        self._job = self.client.post("/v1/jobs", msgspec.json.encode(order), Job)
        return f"job {self._job.id}"

    def _wait_for_job(self) -> str:
        job = self._posted()
        deadline = time.monotonic() + self.seconds
        while job.finished_at is None:
            if time.monotonic() > deadline:
                last = f"; last error: {job.retry.code}: {job.retry.detail}" if job.retry else ""
                raise StepFailed(f"The job is {job.status} after {self.seconds:g} s{last}. Do workers run?")
            time.sleep(POLL_SECONDS)
            job = self._job = self.client.get(f"/v1/jobs/{job.id}", Job)
        if job.error:
            raise StepFailed(f"The job ended with {job.error.code}: {job.error.detail}")
        return ", ".join(f"{made.size} {made.width} x {made.height}" for made in job.derivatives)

    def _wait_for_callback(self) -> str | None:
        if self.listener is None:
            return None
        event = self.listener.wait_for(self._posted().id, seconds=self.seconds)
        if event is not None:
            return f"{event.type}, its signature is valid"
        state = self.client.get(f"/v1/jobs/{self._posted().id}", Job).callback
        rejected = f" {self.listener.rejected} requests had no valid signature." if self.listener.rejected else ""
        said = f" The service reports: {state.status}. {state.detail}" if state else ""
        raise StepFailed(f"No callback within {self.seconds:g} s at {self.callback_url}.{rejected}{said}")

    def _view_pages(self) -> str:
        for made in self._posted().derivatives:
            answer = self.client.fetch(f"{url_of(f'{self.client.url}/img', self.key)}/{made.size}")
            if answer.is_redirect:
                answer = self.client.fetch(str(answer.next_request.url) if answer.next_request else "")
            if answer.status_code != HTTPStatus.OK:
                raise StepFailed(f"{made.size}: {answer.url} responds with {answer.status_code}.")
            if not _is_image(answer.content):
                raise StepFailed(f"{made.size}: {answer.url} is not an image.")
            self._bytes[made.size] = answer.content
        return f"{len(self._bytes)} sizes, {sum(map(len, self._bytes.values())):,} bytes"

    def _check_metadata(self) -> str:
        if found := [size for size, data in self._bytes.items() if has_position(data)]:
            raise StepFailed(f"The metadata of {', '.join(found)} contains a position.")
        return "no derivative contains one"

    def _purge(self) -> str:
        purged = self._send_purge()
        made = {one.key for one in self._posted().derivatives}
        if purged.existed is not None and (missing := made - {*purged.existed}):
            raise StepFailed(f"The purge did not find {', '.join(sorted(missing))}.")
        return f"{len(purged.deleted)} keys are free, {len(purged.existed or ())} had a derivative"

    def _clean_up(self) -> str:
        """Leave things as they were: without the sample, or with the derivatives of the given original."""
        if self.sample is None:
            if not self._bytes:
                return "nothing to do"
            answer = self.client.fetch(f"{url_of(f'{self.client.url}/img', self.key)}/{next(iter(self._bytes))}")
            if answer.is_error:
                raise StepFailed(f"A page view of {self.key} responds with {answer.status_code}.")
            return "the derivatives are rendered again"
        self._cancel_job()
        self.sample.remove()
        self._send_purge()  # again: the job may have ended since, if its step failed
        return "the original and its derivatives are removed"

    def _cancel_job(self) -> None:
        """Cancel the job if it has not ended; otherwise it would be retried without its original."""
        if self._job is None or self._job.finished_at is not None:
            return
        with contextlib.suppress(click.ClickException):  # it has ended since, or the service is gone, which is reported
            self.client.send("POST", f"/v1/jobs/{self._job.id}/cancel", Job)

    def _send_purge(self) -> Purged:
        return self.client.send("DELETE", url_of("/v1/derivatives", self.key), Purged)

    def _posted(self) -> Job:
        if self._job is None:
            raise StepFailed("No job was posted.")
        return self._job

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[list[str | None]]:
        """Report a step, whose work appends its detail; None as a detail means that it was skipped."""
        began, details = time.monotonic(), list[str | None]()
        outcome: Literal["ok", "failed", "skipped"] = "ok"
        try:
            yield details
            outcome, detail = ("ok", details[0]) if details[0] is not None else ("skipped", "without --listen")
        except (StepFailed, ImagesError, OSError) as fault:
            outcome, detail = "failed", str(fault)
        except click.ClickException as fault:
            outcome, detail = "failed", fault.format_message()
        self.is_ok = self.is_ok and outcome != "failed"
        self.report(Step(step=name, outcome=outcome, seconds=round(time.monotonic() - began, 3), detail=detail))


def _is_image(data: bytes) -> bool:
    return data.startswith(SIGNATURES) or data[4:12] == b"ftypavif"
