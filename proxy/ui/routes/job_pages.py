"""`/jobs`: the jobs, newest first, why some failed, and what operators do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from litestar import Request, Response, post, route
from litestar.params import FromPath

from proxy.errors import JobEnded
from proxy.jobs.listing import JobFilter, ListJobs
from proxy.ui.access.guard import posted
from proxy.ui.addresses import job_path, query
from proxy.ui.answers import HTMX
from proxy.ui.routes.live_job import live_job_route
from proxy.ui.views.job_reads import read_job_view
from proxy.ui.views.job_view import job_view
from proxy.ui.views.queue_view import read_queue_view

if TYPE_CHECKING:
    from litestar.datastructures import State
    from litestar.handlers import HTTPRouteHandler

    from proxy.jobs.job import Status
    from proxy.ui.answers import Answers
    from proxy.ui.parts import Parts

LISTED: Final = 40
"""How many jobs a page has."""

STATUSES: Final = ("queued", "processing", "done", "error")


def jobs_routes(parts: Parts, answers: Answers) -> list[HTTPRouteHandler]:
    """Return the routes of jobs and of their queue."""
    return [
        *_reading(parts, answers),
        *_acting(parts, answers),
        *_queue(parts, answers),
        live_job_route(parts, answers),
    ]


def _reading(parts: Parts, answers: Answers) -> list[HTTPRouteHandler]:
    @route("/jobs", http_method=["GET", "HEAD"], include_in_schema=False)
    async def list_jobs(request: Request[object, object, State]) -> Response[bytes]:
        asked = {name: request.query_params.get(name, "").strip() for name in ("status", "code", "key", "cursor")}
        chosen = _selection(asked)
        page = await parts.jobs.page(ListJobs(selection=chosen, limit=LISTED, cursor=asked["cursor"] or None))
        return answers.page(
            request,
            "jobs.html",
            title="Jobs",
            current="/jobs",
            asked=asked,
            queue=await read_queue_view(parts),
            jobs=[job_view(job) for job in page.jobs],
            is_complete=page.is_complete,
            next=f"/jobs{query({**asked, 'cursor': page.cursor or ''})}" if page.cursor else "",
        )

    @route("/jobs/{job_id:str}", http_method=["GET", "HEAD"], include_in_schema=False)
    async def show_job(request: Request[object, object, State], job_id: FromPath[str]) -> Response[bytes]:
        view = await read_job_view(parts, job_id)
        return answers.page(request, "job.html", title="Job", current="/jobs", view=view)

    return [list_jobs, show_job]


def _acting(parts: Parts, answers: Answers) -> list[HTTPRouteHandler]:
    async def row(request: Request[object, object, State], job_id: str) -> Response[bytes]:
        """Return what replaces the row of a job, or the way to its page where scripts do not run."""
        if not request.headers.get(HTMX):
            return answers.redirect(request, job_path(job_id))
        return answers.page(request, "job_row.html", view=job_view(await parts.jobs.get(job_id)))

    @post("/jobs/{job_id:str}/replay", status_code=200, include_in_schema=False)
    async def replay(request: Request[object, object, State], job_id: FromPath[str]) -> Response[bytes]:
        await parts.jobs.replay(job_id)
        return await row(request, job_id)

    @post("/jobs/{job_id:str}/cancel", status_code=200, include_in_schema=False)
    async def cancel(request: Request[object, object, State], job_id: FromPath[str]) -> Response[bytes]:
        try:
            await parts.control.cancel(job_id)
        except JobEnded:  # meanwhile; the page shows how
            return await row(request, job_id)
        return await row(request, job_id)

    @post("/jobs/replay", status_code=200, include_in_schema=False)
    async def replay_all(request: Request[object, object, State]) -> Response[bytes]:
        code = posted(request).get("code", "")
        await parts.control.replay_all(JobFilter(status="error", code=code or None))
        return answers.redirect(request, f"/jobs{query({'code': code})}")

    return [replay, cancel, replay_all]


def _queue(parts: Parts, answers: Answers) -> list[HTTPRouteHandler]:
    @route("/queue", http_method=["GET", "HEAD"], include_in_schema=False)
    async def show_queue(request: Request[object, object, State]) -> Response[bytes]:
        return answers.page(request, "queue.html", queue=await read_queue_view(parts))

    @post("/queue/pause", status_code=200, include_in_schema=False)
    async def pause(request: Request[object, object, State]) -> Response[bytes]:
        await parts.control.pause()
        return answers.redirect(request, "/jobs")

    @post("/queue/resume", status_code=200, include_in_schema=False)
    async def resume(request: Request[object, object, State]) -> Response[bytes]:
        await parts.control.resume()
        return answers.redirect(request, "/jobs")

    return [show_queue, pause, resume]


def _selection(asked: dict[str, str]) -> JobFilter:
    status = cast("Status", asked["status"]) if asked["status"] in STATUSES else None
    return JobFilter(status=status, code=asked["code"] or None, key_part=asked["key"] or None)
