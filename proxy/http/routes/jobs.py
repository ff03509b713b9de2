"""`/v1/jobs`: creates jobs from signed requests, and returns, lists and replays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from litestar import Request, Response, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath

from proxy.http.dependencies import JobApi
from proxy.http.openapi import JOB_PROBLEMS, LIST_PROBLEMS, MAX_SIZES, POST_PROBLEMS, REPLAY_PROBLEMS, problems
from proxy.http.posted import MAX_BODY_BYTES, parse, posted_body
from proxy.http.protocol.signed_address import signed_addresses
from proxy.http.query import (
    LISTED,
    CodeParameter,
    CursorParameter,
    KeyParameter,
    LimitParameter,
    NewerParameter,
    OlderParameter,
    Selected,
    StatusParameter,
    address,
    selection,
)
from proxy.jobs.job import Job
from proxy.jobs.listing import ListJobs
from proxy.jobs.request import JobRequest
from proxy.webhooks.allowlist import MAX_URL_CHARACTERS
from proxy.webhooks.signature import ID_HEADER

if TYPE_CHECKING:
    from litestar.datastructures import State

    from proxy.jobs.listing import JobPage

T = TypeVar("T")

IDEMPOTENCY_HEADER = "idempotency-key"


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first, and the path of the next page, if any.

    `complete` is False if the queue holds too many jobs to read them all, so that some may be missing.
    """

    jobs: tuple[Job, ...]
    next: str | None
    complete: bool


FIELDS: Mapping[str, object] = {
    "key": str,
    "sizes": Annotated[list[str], msgspec.Meta(max_length=MAX_SIZES)],
    "force": bool,
    "callback_url": Annotated[str, msgspec.Meta(max_length=MAX_URL_CHARACTERS)],
}
"""The fields of `JobRequest` that clients may post, with their types."""


@post(
    "/v1/jobs",
    status_code=202,
    summary="Create a job",
    response_description="The job was created, or an existing job does the same.",
    responses=problems(POST_PROBLEMS),
    request_max_body_size=MAX_BODY_BYTES,
)
async def post_job(request: Request[None, None, State], api: NamedDependency[JobApi]) -> Response[Job]:
    """Create a job that generates the derivatives of an original.

    The job is on disk before the response is sent.
    """
    body = await posted_body(request)
    api.verifier.verify(body, request.headers)
    idempotency_key = _idempotency_key(request.headers, is_signed=not api.verifier.is_open)
    posted_at = api.verifier.signed_at(request.headers)
    return accepted(api, await api.jobs.submit(_parse(body), idempotency_key=idempotency_key, posted_at=posted_at))


@post(
    "/v1/jobs/{job_id:str}/replay",
    status_code=202,
    summary="Run a job again",
    response_description="The job, which is queued again if it had ended.",
    responses=problems(REPLAY_PROBLEMS),
)
async def replay_job(
    request: Request[None, None, State], job_id: FromPath[str], api: NamedDependency[JobApi]
) -> Response[Job]:
    """Run an ended job again, with the sizes and options it was posted with.

    A job that has not ended is returned unchanged. The request has no body: sign its method and path instead.
    """
    return accepted(api, await api.jobs.replay(job_id, message_id=verified_id(api, request)))


@route(
    "/v1/jobs/{job_id:str}",
    http_method=["GET", "HEAD"],
    summary="Get a job",
    response_description="The job.",
    responses=problems(JOB_PROBLEMS),
)
async def get_job(job_id: FromPath[str], api: NamedDependency[JobApi]) -> Response[Job]:
    """Return a job.

    The request needs no signature: the id of a job is enough.
    """
    return uncached(await api.jobs.get(job_id))


@route(
    "/v1/jobs",
    http_method=["GET", "HEAD"],
    summary="List jobs",
    response_description="A page of jobs, newest first.",
    responses=problems(LIST_PROBLEMS),
)
async def list_jobs(  # noqa: PLR0913 - each is a query parameter
    request: Request[None, None, State],
    api: NamedDependency[JobApi],
    *,
    key: KeyParameter = None,
    status: StatusParameter = None,
    code: CodeParameter = None,
    older_than: OlderParameter = None,
    newer_than: NewerParameter = None,
    limit: LimitParameter = LISTED,
    cursor: CursorParameter = None,
) -> Response[JobList]:
    """List jobs, newest first, for operators.

    The request has no body: sign its method and path with the query instead.
    """
    verified_id(api, request)
    selected = Selected(key=key, status=status, code=code, older_than=older_than, newer_than=newer_than)
    page = await api.jobs.page(ListJobs(selection=selection(selected), limit=limit, cursor=cursor))
    return uncached(job_list(page, f"{api.base_path}/v1/jobs", selected, limit=limit))


@route("/v1/jobs", http_method="OPTIONS", include_in_schema=False, sync_to_thread=False)
def jobs_options() -> Response[None]:
    """Return the methods of `/v1/jobs`.

    Litestar's own response lists only those of the first route registered for a path, so this must be that route.
    """
    return Response(None, status_code=204, headers={"Allow": "GET, HEAD, OPTIONS, POST"})


def _idempotency_key(headers: Mapping[str, str], *, is_signed: bool) -> str | None:
    """Return what identifies repeated requests, or None; values of different headers never collide.

    Unsigned headers are ignored where requests are signed: an observer of a request could repeat it under another key.
    """
    for name in (ID_HEADER,) if is_signed else (IDEMPOTENCY_HEADER, ID_HEADER):
        if value := headers.get(name):
            return f"{name}\n{value}"  # header values have no line break
    return None


def _parse(body: bytes) -> JobRequest:
    request = parse(body, JobRequest, fields=FIELDS, what="a job")
    return replace(request, sizes=tuple(dict.fromkeys(request.sizes)))


def verified_id(api: JobApi, request: Request[None, None, State]) -> str | None:
    """Verify the signature of a request without a body, and return the id of its message."""
    api.verifier.verify_address(signed_addresses(request.scope, api.base_path), request.headers)
    return request.headers.get(ID_HEADER)


def job_list(page: JobPage, path: str, selected: Selected, *, limit: int) -> JobList:
    """Return a page of selected jobs; `path` is that of the route, for the next page."""
    following = address(path, {**selected, "limit": limit, "cursor": page.cursor}) if page.cursor else None
    return JobList(jobs=page.jobs, next=following, complete=page.is_complete)


def accepted(api: JobApi, job: Job) -> Response[Job]:
    """Return a job that was accepted, with its path."""
    headers = {"Location": f"{api.base_path}/v1/jobs/{job.id}", "Cache-Control": "no-store"}
    return Response(job, status_code=202, headers=headers)


def uncached(body: T, *, status_code: int = 200) -> Response[T]:
    """Return a response that no cache may keep."""
    return Response(body, status_code=status_code, headers={"Cache-Control": "no-store"})
