"""The HTTP status of every error, and the response to it (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException

from pipeline.errors import Refused
from proxy import metrics
from proxy.errors import (
    BadCallback,
    BadCursor,
    BadEvent,
    BadKey,
    BadSignature,
    BadToken,
    BadUploadUrl,
    Busy,
    CdnPurgeFailed,
    CdnPurgeRefused,
    DeadlineExceeded,
    DiedAgain,
    ImagesError,
    JobEnded,
    NoRoom,
    NotFound,
    OrderTakenDown,
    OriginalExists,
    OutOfRange,
    PermissionMissing,
    PreconditionFailed,
    QueueUnavailable,
    RenderFailed,
    SnsUnreachable,
    StoreError,
    StoreRefused,
    TooManyBytes,
    UnfitKey,
    UnfitUpload,
    UnknownJob,
    UnknownJobSize,
    UnknownSize,
    UploadCutOff,
    UploadTooSlow,
    UploadUnderWay,
    UploadUrlEnded,
    public_message,
)
from proxy.http.protocol.failure import note_failure
from proxy.http.protocol.server_timing import server_timing, timings_of
from proxy.http.validation_messages import readable
from proxy.webhooks.signature import SIGNATURE_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request
    from litestar.datastructures import State

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"

TYPES = "/problems/"
"""Where the address of a type begins; its code follows."""


NO_STORE = "no-store"

CHALLENGE = 'StandardWebhooks realm="jobs"'
"""What a client must do to be let in (RFC 9110, section 11.6.1). The scheme is not registered: its headers are those
of standardwebhooks.com."""

EVENTS_CHALLENGE = 'Bearer realm="events", Basic realm="events"'
"""The same for events of buckets, whose senders cannot sign."""


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """The response to an error: its status and title, its caching, and when to retry."""

    status: int
    title: str
    cache_control: str = NO_STORE
    retry_after_seconds: int | None = None


FOR_A_MINUTE = "public, max-age=60"
FOR_HALF_A_MINUTE = "public, max-age=30"

ROWS: Mapping[type[Exception], ProblemRow] = {
    BadKey: ProblemRow(400, "Invalid key", FOR_A_MINUTE),
    UnfitKey: ProblemRow(400, "Invalid key", FOR_A_MINUTE),
    JobEnded: ProblemRow(409, "Job has ended"),
    BadCursor: ProblemRow(400, "Invalid cursor"),
    BadSignature: ProblemRow(401, "Missing or invalid signature"),
    BadToken: ProblemRow(401, "Missing or invalid token"),
    BadEvent: ProblemRow(400, "Invalid event"),
    SnsUnreachable: ProblemRow(503, "Amazon SNS unreachable", retry_after_seconds=30),
    UnknownJobSize: ProblemRow(422, "Unknown size"),
    BadCallback: ProblemRow(422, "Callback URL not allowed"),
    UploadUrlEnded: ProblemRow(410, "Upload URL has ended"),
    BadUploadUrl: ProblemRow(403, "Invalid upload URL"),
    UploadUnderWay: ProblemRow(409, "Upload is running", retry_after_seconds=5),
    OriginalExists: ProblemRow(409, "Original exists"),
    UnfitUpload: ProblemRow(422, "Upload does not match its order"),
    UploadTooSlow: ProblemRow(408, "Upload took too long"),
    UploadCutOff: ProblemRow(400, "Upload is incomplete"),
    UnknownSize: ProblemRow(404, "Unknown size", FOR_A_MINUTE),
    UnknownJob: ProblemRow(404, "Unknown job"),
    OrderTakenDown: ProblemRow(409, "Original was taken down"),
    NotFound: ProblemRow(404, "Not found", FOR_HALF_A_MINUTE),
    TooManyBytes: ProblemRow(413, "Original too large", FOR_A_MINUTE),
    Refused: ProblemRow(422, "Original cannot be rendered", FOR_A_MINUTE),
    OutOfRange: ProblemRow(416, "Range not satisfiable"),
    PreconditionFailed: ProblemRow(412, "Precondition failed"),
    Busy: ProblemRow(503, "Service busy"),
    DeadlineExceeded: ProblemRow(504, "Rendering timed out"),
    DiedAgain: ProblemRow(422, "Original cannot be rendered"),
    RenderFailed: ProblemRow(500, "Rendering failed"),
    QueueUnavailable: ProblemRow(503, "Job queue unavailable", retry_after_seconds=5),
    NoRoom: ProblemRow(503, "Temporary storage unavailable", retry_after_seconds=60),
    CdnPurgeRefused: ProblemRow(409, "CDN rejects purges"),
    CdnPurgeFailed: ProblemRow(502, "CDN purge failed", retry_after_seconds=60),
    PermissionMissing: ProblemRow(409, "Permission of the store missing"),
    StoreRefused: ProblemRow(502, "Image store rejected the operation", retry_after_seconds=60),
    StoreError: ProblemRow(502, "Image store unavailable", retry_after_seconds=5),
    ImagesError: ProblemRow(500, "Internal error"),
}
"""The first row that matches an error applies, so subclasses stand before their parents."""


DETAILS_BY_STATUS = {
    404: "This path does not exist; /schema lists every route.",
    405: "This path does not support the method; /schema lists the methods of every route.",
    413: "The request body is too large; a job may have up to 64 KiB, events up to 256 KiB.",
}
"""Details for errors that Litestar describes by their title only."""

INVALID_REQUEST = "The request is invalid; correct every field and parameter that `errors` lists."


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error response (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str = ""
    errors: tuple[str, ...] = ()


def answer_error(request: Request[object, object, State], error: Exception) -> Response[bytes]:
    """Return the response to an error; unexpected errors are logged with their trace, and not revealed."""
    problem, headers = _problem(error)
    detail = str(error) if isinstance(error, ImagesError | Refused) else "; ".join((problem.detail, *problem.errors))
    note_failure(request.scope, problem.type.removeprefix(TYPES), detail)
    answer = Response(msgspec.json.encode(problem), status_code=problem.status, headers=headers, media_type=PROBLEM)
    if request.method not in ("GET", "HEAD") or SIGNATURE_HEADER in request.headers:
        answer.headers["Cache-Control"] = NO_STORE
    if (timings := timings_of(request.scope)) is not None:
        answer.headers["Server-Timing"] = server_timing(timings)
    if isinstance(error, BadSignature):
        answer.headers["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, BadToken):
        answer.headers["WWW-Authenticate"] = EVENTS_CHALLENGE
    if isinstance(error, OutOfRange):
        answer.headers["Content-Range"] = f"bytes */{error.total}"
    return answer


def _problem(error: Exception) -> tuple[Problem, dict[str, str]]:
    """Return the body of the response to an error, and its headers."""
    if isinstance(error, HTTPException):
        return _framework_error(error)
    row = next((ROWS[kind] for kind in ROWS if isinstance(error, kind)), None)
    if row is None or not isinstance(error, ImagesError | Refused):
        log.error("unexpected_error", exc_info=error)
        detail = "An unexpected error occurred; report it to the operator with the request_id of this response."
        return _with_headers(ProblemRow(500, "Internal error"), code="internal", detail=detail)
    if isinstance(error, Busy):
        metrics.refused_total.labels(error.code).inc()
        row = replace(row, retry_after_seconds=error.retry_after_seconds)
    if public_message(error) != str(error):
        log.error("request_failed", code=error.code, detail=str(error))
    return _with_headers(row, code=error.code, detail=public_message(error))


def _framework_error(error: HTTPException) -> tuple[Problem, dict[str, str]]:
    """Return the body and the headers of the response to a request that Litestar refused.

    Its path is unknown, its method wrong or its body invalid.
    """
    title = HTTPStatus(error.status_code).phrase.capitalize()
    faults = tuple(_sentence(fault) for fault in error.extra) if isinstance(error.extra, list) else ()
    row = ProblemRow(400 if faults else error.status_code, title)
    detail = INVALID_REQUEST if faults else DETAILS_BY_STATUS.get(error.status_code, error.detail)
    code = "-".join(title.lower().split())
    return _with_headers(row, code=code, detail=detail, errors=faults, headers=error.headers)


def _sentence(fault: object) -> str:
    if not isinstance(fault, dict):
        return str(fault)
    return f"{fault.get('key', 'body')}: {readable(str(fault.get('message', fault)))}"


def _with_headers(
    row: ProblemRow, *, code: str, detail: str, errors: tuple[str, ...] = (), headers: Mapping[str, str] | None = None
) -> tuple[Problem, dict[str, str]]:
    problem = Problem(
        type=f"{TYPES}{code}",
        title=row.title,
        status=row.status,
        detail=detail,
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
        errors=errors,
    )
    retry = {"Retry-After": str(row.retry_after_seconds)} if row.retry_after_seconds else {}
    return problem, {"Cache-Control": row.cache_control, **retry, **(headers or {})}
