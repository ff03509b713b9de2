"""`/v1/uploads`: issues URLs for uploads to signed requests, and receives the uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from litestar import Request, Response, post, put
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.params import FromPath

from proxy.errors import UnfitUpload, UploadCutOff
from proxy.http.dependencies import JobApi
from proxy.http.openapi import problems
from proxy.http.posted import MAX_BODY_BYTES, parse, posted_body
from proxy.http.routes.jobs import FIELDS as JOB_FIELDS
from proxy.http.routes.jobs import uncached
from proxy.http.upload_schema import ORDER_PROBLEMS, TYPES, UPLOAD_PROBLEMS
from proxy.intake.uploads.order import UploadOrder
from proxy.intake.uploads.upload_service import UploadService
from proxy.intake.uploads.urls import PATH
from proxy.jobs.job import Job
from proxy.webhooks.signature import ID_HEADER

if TYPE_CHECKING:
    from litestar.datastructures import State

FIELDS: Mapping[str, object] = {
    **JOB_FIELDS,
    "replace": bool,
    "content_type": Literal[TYPES],
    "bytes": Annotated[int, msgspec.Meta(ge=1)],
}
"""The fields of `UploadOrder` that clients may post, with their types."""


class OrderedUpload(msgspec.Struct, frozen=True, kw_only=True):
    """The URL to which the bytes of an original may be put, once, and until when."""

    upload_url: Annotated[
        str,
        msgspec.Meta(
            description="Where to put the bytes: an absolute URL if PUBLIC_ORIGIN is set, otherwise a path of this "
            "service, such as `/v1/uploads/…`, to be resolved against its URL"
        ),
    ]
    key: str
    expires_at: datetime


@post(
    PATH,
    status_code=201,
    summary="Order an upload",
    response_description="The URL for the upload, which can be used once.",
    responses=problems(ORDER_PROBLEMS),
    request_max_body_size=MAX_BODY_BYTES,
)
async def post_upload(
    request: Request[None, None, State], api: NamedDependency[JobApi], uploads: NamedDependency[UploadService]
) -> Response[OrderedUpload]:
    """Return a URL to which a browser may put one original; nothing is stored before that.

    `upload_url` is absolute if PUBLIC_ORIGIN is set. Otherwise it is a path of this service.
    """
    body = await posted_body(request)
    api.verifier.verify(body, request.headers)
    order = parse(body, UploadOrder, fields=FIELDS, what="an upload")
    ordered_at = api.verifier.signed_at(request.headers)
    issued = uploads.order(order, message_id=request.headers.get(ID_HEADER), ordered_at=ordered_at)
    expires_at = datetime.fromtimestamp(issued.expires_at, UTC)
    return uncached(OrderedUpload(upload_url=issued.url, key=order.key, expires_at=expires_at), status_code=201)


@put(
    f"{PATH}/{{token:str}}",
    status_code=201,
    summary="Upload an original",
    response_description="The job that renders its derivatives.",
    responses=problems(UPLOAD_PROBLEMS),
    request_max_body_size=None,
)
async def put_upload(
    request: Request[None, None, State],
    token: FromPath[str],
    api: NamedDependency[JobApi],
    uploads: NamedDependency[UploadService],
) -> Response[Job]:
    """Store an original and queue its job; both are durable before the response is sent.

    The URL is all that is needed: the request is not signed. The type of the file is that of its first bytes.
    """
    if "content-range" in request.headers:
        raise UnfitUpload("The request has a part of a file (Content-Range); upload the whole file.")
    job = await uploads.receive(token, _chunks(request), announced_bytes=request.content_length)
    headers = {"Location": f"{api.base_path}/v1/jobs/{job.id}", "Cache-Control": "no-store"}
    return Response(job, status_code=201, headers=headers)


async def _chunks(request: Request[None, None, State]) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except InternalServerException as disconnected:  # Litestar's error for a disconnected client
        raise UploadCutOff("The upload is incomplete, and nothing of it is stored; upload it again.") from disconnected
