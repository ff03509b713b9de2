"""`/healthz`: the process answers; `/readyz`: it can do its work."""

from __future__ import annotations

import msgspec
import structlog
from litestar import Response, get
from litestar.di import NamedDependency

from proxy.readiness import Readiness

log = structlog.get_logger(__name__)


class Health(msgspec.Struct, frozen=True):
    """What a platform is told: "ok", or what is missing, a sentence each."""

    status: str
    missing: list[str]


@get("/healthz", sync_to_thread=False)
def healthz() -> Health:
    """Tell that the process answers."""
    return Health(status="ok", missing=[])


@get("/readyz")
async def readyz(readiness: NamedDependency[Readiness]) -> Response[Health]:
    """Tell whether the store, the queue and a render process work; 503 while starting or draining."""
    missing = await readiness.check()
    return Response(
        Health(status="unready" if missing else "ok", missing=missing),
        status_code=503 if missing else 200,
        headers={"Cache-Control": "no-store"},
    )
