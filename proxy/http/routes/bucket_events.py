"""`POST /v1/events/s3`: events of the bucket, from its store or a relay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from proxy.http.openapi import EVENT_PROBLEMS, problems
from proxy.http.posted import posted_body
from proxy.http.routes.jobs import uncached
from proxy.intake.events.reactions import BucketEvents, HandledEvent

if TYPE_CHECKING:
    from litestar.datastructures import State

MAX_BODY_BYTES = 256 * 1024
"""The largest message of SNS and of EventBridge."""

TokenParameter = Annotated[
    str | None, QueryParameter(description="The token of EVENTS_TOKEN, for senders that can send no header.")
]


class HandledEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of events, once for each object."""

    events: tuple[HandledEvent, ...]


@post(
    "/v1/events/s3",
    status_code=200,
    summary="Report that originals were written or deleted",
    response_description="The outcome for each object; jobs are on disk.",
    responses=problems(EVENT_PROBLEMS),
    request_max_body_size=MAX_BODY_BYTES,
)
async def post_events(
    request: Request[None, None, State], events: NamedDependency[BucketEvents], token: TokenParameter = None
) -> Response[HandledEvents]:
    """Act on the events of a bucket: a job for an original that was written, a purge for one that was deleted.

    The sender presents the token as `Bearer`, as the password of `Basic`, or in the query. Events may come late, twice
    or in any order.
    """
    events.check_sender(authorization=request.headers.get("authorization"), in_query=token)
    return uncached(HandledEvents(events=await events.handle(await posted_body(request))))
