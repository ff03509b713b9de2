"""`/v1/jobs`: orders come in signed, what became of them can be asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec
from litestar import Request, Response, post, route
from litestar.di import NamedDependency
from litestar.exceptions import ValidationException
from litestar.params import FromPath

from proxy.jobs import Jobs
from proxy.orders import Order
from proxy.outcomes import Job
from proxy.record import ShownJob, shown
from proxy.routes.documents import problems
from proxy.signature import ID_HEADER, Verifier

if TYPE_CHECKING:
    from litestar.datastructures import State

MAX_BODY_BYTES = 64 * 1024

IDEMPOTENCY_HEADER = "idempotency-key"


class PostedJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is posted: an original's key, perhaps only some sizes, perhaps also those that are fresh."""

    key: str
    sizes: Annotated[list[str], msgspec.Meta(max_length=64)] = []
    force: bool = False


@post(
    "/v1/jobs", status_code=202, responses=problems(400, 401, 413, 422, 502, 503), request_max_body_size=MAX_BODY_BYTES
)
async def post_job(
    request: Request[None, None, State],
    jobs: NamedDependency[Jobs],
    verifier: NamedDependency[Verifier],
    public_base_url: NamedDependency[str],
) -> Response[ShownJob]:
    """Order the derivatives of an original; the job is on disk before the answer leaves."""
    body = await request.body()
    verifier.verify(body, request.headers)
    posted = _posted(body)
    job = await jobs.submit(
        Order(key=posted.key, sizes=tuple(dict.fromkeys(posted.sizes)), force=posted.force),
        idempotency_key=request.headers.get(IDEMPOTENCY_HEADER) or request.headers.get(ID_HEADER),
    )
    return _accepted(job, public_base_url)


@post(
    "/v1/jobs/{job_id:str}/replay",
    status_code=202,
    responses=problems(401, 404, 413, 503),
    request_max_body_size=MAX_BODY_BYTES,
)
async def replay_job(
    request: Request[None, None, State],
    job_id: FromPath[str],
    jobs: NamedDependency[Jobs],
    verifier: NamedDependency[Verifier],
    public_base_url: NamedDependency[str],
) -> Response[ShownJob]:
    """Run a job that has ended once more."""
    verifier.verify(await request.body(), request.headers)
    return _accepted(await jobs.replay(job_id), public_base_url)


@route("/v1/jobs/{job_id:str}", http_method=["GET", "HEAD"], responses=problems(404))
async def get_job(
    job_id: FromPath[str], jobs: NamedDependency[Jobs], public_base_url: NamedDependency[str]
) -> Response[ShownJob]:
    """Tell what is known of a job."""
    return Response(shown(await jobs.get(job_id), public_base_url), headers={"Cache-Control": "no-store"})


def _posted(body: bytes) -> PostedJob:
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ValidationException('The body is not a JSON object; post {"key": "<key of the original>"}.') from fault
    if faults := [*_faults(fields)]:
        raise ValidationException("The body is not a job.", extra=faults)
    return msgspec.json.decode(body, type=PostedJob)


def _faults(posted: Mapping[str, msgspec.Raw]) -> Iterator[str]:
    """Name every fault of what was posted; msgspec itself stops at the first."""
    known = {field.name: field for field in msgspec.structs.fields(PostedJob)}
    yield from (f"{name}: there is no such field; there are {', '.join(known)}" for name in posted if name not in known)
    for name, field in known.items():
        if name not in posted:
            if field.required:
                yield f"{name}: must be there"
            continue
        try:
            msgspec.json.decode(posted[name], type=field.type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            yield f"{name}: {fault}"


def _accepted(job: Job, public_base_url: str) -> Response[ShownJob]:
    headers = {"Location": f"/v1/jobs/{job.id}", "Cache-Control": "no-store"}
    return Response(shown(job, public_base_url), status_code=202, headers=headers)

