"""`/healthz`: whether the process responds; `/readyz`: whether it can do its work."""

from __future__ import annotations

from datetime import datetime

import msgspec
import structlog
from litestar import Response, route
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Scope

from proxy.http.protocol.failure import note_failure
from proxy.observability.readiness import Readiness

log = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = "5"
"""The same value as in other responses after which the store or the queue may recover soon."""


UNREADY = "unready"
"""The status of the response, and its code in the log."""


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """The health of the service: "ok", or what is missing, one message each; and since when the queue is paused.

    A paused queue still accepts jobs, so the service is ready.
    """

    status: str
    missing: list[str]
    paused_since: datetime | None = None


@route(
    "/healthz",
    http_method=["GET", "HEAD"],
    summary="Check that the process responds",
    response_description="The process responds.",
    sync_to_thread=False,
)
def healthz() -> Health:
    """Report that the process responds."""
    return Health(status="ok", missing=[])


@route(
    "/readyz",
    http_method=["GET", "HEAD"],
    summary="Check that the service is ready",
    response_description="The service is ready.",
    responses={503: ResponseSpec(Health, generate_examples=False, description="The service is not ready.")},
)
async def readyz(readiness: NamedDependency[Readiness], scope: Scope) -> Response[Health]:
    """Report whether the store, the queue, the scratch folder and rendering work.

    The status is 503 if one of them does not, and while the service starts or stops.
    """
    missing = await readiness.check()
    if missing:
        note_failure(scope, UNREADY, " ".join(missing))
    return Response(
        Health(status=UNREADY if missing else "ok", missing=missing, paused_since=readiness.paused_since),
        status_code=503 if missing else 200,
        headers={"Cache-Control": "no-store", **({"Retry-After": RETRY_AFTER_SECONDS} if missing else {})},
    )
