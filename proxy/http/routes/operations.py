"""Routes for operators: cancel a job, run many again, pause and resume the queue."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import Request, Response, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from proxy.http.dependencies import JobApi
from proxy.http.openapi import CANCEL_PROBLEMS, QUEUE_PROBLEMS, REPLAY_MANY_PROBLEMS, problems
from proxy.http.query import (
    LISTED,
    CodeParameter,
    CursorParameter,
    EndedParameter,
    KeyParameter,
    LimitParameter,
    NewerParameter,
    OlderParameter,
    Selected,
    selection,
)
from proxy.http.routes.jobs import JobList, accepted, job_list, uncached, verified_id
from proxy.jobs.job import Job
from proxy.jobs.listing import ListJobs

REPLAY = "/v1/jobs/replay"


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the job queue, which all machines share: since when it is paused, if it is, and what waits in it.

    `workers` is how many jobs all workers together run at once.
    """

    paused_since: datetime | None
    waiting: int
    oldest_seconds: float
    workers: int


@post(
    REPLAY,
    status_code=202,
    summary="Run many jobs again",
    response_description="The jobs of this page that run again; `next` continues with the older ones.",
    responses=problems(REPLAY_MANY_PROBLEMS),
)
async def replay_jobs(  # noqa: PLR0913 - each is a query parameter
    request: Request[None, None, State],
    api: NamedDependency[JobApi],
    *,
    key: KeyParameter = None,
    status: EndedParameter = None,
    code: CodeParameter = None,
    older_than: OlderParameter = None,
    newer_than: NewerParameter = None,
    limit: LimitParameter = LISTED,
    cursor: CursorParameter = None,
) -> Response[JobList]:
    """Run ended jobs again, newest first: those that failed, or with `status=done` those that succeeded.

    Cancelled jobs are left out unless `code=cancelled` selects them. If the queue becomes full, `next` continues with
    the next job. The request has no body: sign its method and path with the query instead.
    """
    message_id = verified_id(api, request)
    selected = Selected(key=key, status=status, code=code, older_than=older_than, newer_than=newer_than)
    page = await api.control.replay(
        ListJobs(selection=selection(selected), limit=limit, cursor=cursor), message_id=message_id
    )
    return uncached(job_list(page, f"{api.base_path}{REPLAY}", selected, limit=limit), status_code=202)


@post(
    "/v1/jobs/{job_id:str}/cancel",
    status_code=202,
    summary="Cancel a job",
    response_description="The job: it has ended with the error `cancelled`, or is about to.",
    responses=problems(CANCEL_PROBLEMS),
)
async def cancel_job(
    request: Request[None, None, State], job_id: FromPath[str], api: NamedDependency[JobApi]
) -> Response[Job]:
    """Cancel a job; its callback, if it has one, reports the error `cancelled`.

    A waiting job ends at once. A running job ends within seconds, and derivatives that are stored by then remain. The
    request has no body: sign its method and path instead.
    """
    message_id = verified_id(api, request)
    return accepted(api, await api.control.cancel(job_id, message_id=message_id))


@route(
    "/v1/queue",
    http_method=["GET", "HEAD"],
    summary="Get the state of the queue",
    response_description="The state of the queue.",
    responses=problems(QUEUE_PROBLEMS),
)
async def get_queue(request: Request[None, None, State], api: NamedDependency[JobApi]) -> Response[QueueState]:
    """Return whether the queue is paused, and how many jobs wait in it.

    The request has no body: sign its method and path instead.
    """
    verified_id(api, request)
    return await _state(api)


@post(
    "/v1/queue/pause",
    status_code=200,
    summary="Pause the queue",
    response_description="The state of the queue.",
    responses=problems(QUEUE_PROBLEMS),
)
async def pause_queue(request: Request[None, None, State], api: NamedDependency[JobApi]) -> Response[QueueState]:
    """Stop every worker from starting jobs, until the queue is resumed; running jobs continue.

    Jobs are still accepted, page views still render, and callbacks are still sent. The pause survives restarts. The
    request has no body: sign its method and path instead.
    """
    await api.control.pause(message_id=verified_id(api, request))
    return await _state(api)


@post(
    "/v1/queue/resume",
    status_code=200,
    summary="Resume the queue",
    response_description="The state of the queue.",
    responses=problems(QUEUE_PROBLEMS),
)
async def resume_queue(request: Request[None, None, State], api: NamedDependency[JobApi]) -> Response[QueueState]:
    """Let workers start jobs again.

    The request has no body: sign its method and path instead.
    """
    await api.control.resume(message_id=verified_id(api, request))
    return await _state(api)


async def _state(api: JobApi) -> Response[QueueState]:
    waiting = await api.jobs.waiting()
    return uncached(
        QueueState(
            paused_since=await api.control.paused_since(),
            waiting=waiting.jobs,
            oldest_seconds=round(waiting.oldest_seconds, 3),
            workers=waiting.workers,
        )
    )
