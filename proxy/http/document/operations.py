"""The operations of the document: their names, their groups, how they are signed, and the problems they return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Signing = Literal["body", "address", "token"]

DEFAULT_CODES: Final[Mapping[int, tuple[str, ...]]] = {
    400: ("bad-request",),
    401: ("bad-signature",),
    404: ("not-found",),
    412: ("not-as-before",),
    413: ("request-entity-too-large",),
    414: ("address-too-long",),
    416: ("out-of-range",),
    500: ("internal",),
    502: ("store-unavailable", "store-refused"),
    503: ("busy", "queue-unavailable"),
    504: ("deadline-exceeded",),
}
"""Status -> the problem types that most operations return with it."""

_KEY = {400: ("bad-key", "bad-request")}
_RENDERED: Final = {
    413: ("too-many-bytes",),
    422: (
        "not-an-image",
        "unsupported-format",
        "corrupt",
        "too-many-pixels",
        "too-many-frames",
        "needs-too-much-memory",
        "died-again",
    ),
    500: ("process-died", "internal"),
    503: ("busy", "no-room"),
}
_ORDERED = {409: ("taken-down",), 422: ("unknown-size", "bad-callback")}
_QUEUE = {503: ("queue-unavailable",)}
_JOB = {404: ("unknown-job",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    """What the document has of an operation beyond its route; `codes` are problem types by status."""

    name: str
    tag: str
    signing: Signing | None = None
    codes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    sends_location: bool = False
    """Whether the response has the path of a job."""

    def codes_of(self, status: int) -> tuple[str, ...]:
        """Return the problem types that the operation returns with this status."""
        return self.codes.get(status) or DEFAULT_CODES.get(status, ())


TAGS: Final[Mapping[str, str]] = {
    "Images": "Pictures for pages: redirects or bytes, descriptions, stored files.",
    "Jobs": "Render all sizes of an original, and follow the job.",
    "Uploads": "Let a browser send an original straight to the service.",
    "Originals": "Read facts of an original, delete its derivatives, take it down.",
    "Queue": "See, pause and resume the queue.",
    "Events": "Receive events of the bucket.",
    "Health": "See whether the service works.",
}
"""The groups of operations, in the order in which they are shown."""

OPERATIONS: Final[Mapping[tuple[str, str], OperationRow]] = {
    ("/img/{key}/{size}", "get"): OperationRow(
        name="getImage", tag="Images", codes={**_RENDERED, 400: ("bad-key",), 404: ("not-found", "unknown-size")}
    ),
    ("/v1/images/{key}", "get"): OperationRow(name="getPicture", tag="Images", codes={**_RENDERED, **_KEY}),
    ("/files/{key}", "get"): OperationRow(name="getFile", tag="Images", codes={400: ("bad-key",), 503: ("busy",)}),
    ("/v1/jobs", "post"): OperationRow(
        name="createJob", tag="Jobs", signing="body", codes={**_ORDERED, **_KEY}, sends_location=True
    ),
    ("/v1/jobs", "get"): OperationRow(
        name="listJobs", tag="Jobs", signing="address", codes={**_QUEUE, 400: ("bad-request", "bad-cursor")}
    ),
    ("/v1/jobs/{job_id}", "get"): OperationRow(name="getJob", tag="Jobs", codes={**_JOB, **_QUEUE}),
    ("/v1/jobs/{job_id}/replay", "post"): OperationRow(
        name="replayJob", tag="Jobs", signing="address", codes=_JOB, sends_location=True
    ),
    ("/v1/jobs/replay", "post"): OperationRow(
        name="replayJobs", tag="Jobs", signing="address", codes={400: ("bad-request", "bad-cursor")}
    ),
    ("/v1/jobs/{job_id}/cancel", "post"): OperationRow(
        name="cancelJob",
        tag="Jobs",
        signing="address",
        codes={**_JOB, **_QUEUE, 409: ("job-ended",)},
        sends_location=True,
    ),
    ("/v1/uploads", "post"): OperationRow(
        name="orderUpload",
        tag="Uploads",
        signing="body",
        codes={**_ORDERED, **_KEY, 413: ("request-entity-too-large", "too-many-bytes")},
    ),
    ("/v1/uploads/{token}", "put"): OperationRow(
        name="putUpload",
        tag="Uploads",
        codes={
            400: ("upload-cut-off", "bad-request"),
            403: ("bad-upload-url",),
            408: ("upload-too-slow",),
            409: ("original-exists", "upload-under-way"),
            410: ("upload-url-ended",),
            413: ("too-many-bytes",),
            422: ("unfit-upload", "not-an-image", "unsupported-format"),
            503: ("busy", "no-room", "queue-unavailable"),
        },
        sends_location=True,
    ),
    ("/v1/facts/{key}", "get"): OperationRow(
        name="getFacts", tag="Originals", signing="address", codes={**_RENDERED, **_KEY}
    ),
    ("/v1/derivatives/{key}", "delete"): OperationRow(
        name="purgeDerivatives", tag="Originals", signing="address", codes=_KEY
    ),
    ("/v1/images/{key}", "delete"): OperationRow(
        name="takeDown",
        tag="Originals",
        signing="address",
        codes={
            **_KEY,
            409: ("permission-missing", "cdn-purge-refused"),
            422: ("bad-callback",),
            502: ("store-unavailable", "store-refused", "cdn-purge-failed"),
        },
        sends_location=True,
    ),
    ("/v1/queue", "get"): OperationRow(name="getQueue", tag="Queue", signing="address", codes=_QUEUE),
    ("/v1/queue/pause", "post"): OperationRow(name="pauseQueue", tag="Queue", signing="address", codes=_QUEUE),
    ("/v1/queue/resume", "post"): OperationRow(name="resumeQueue", tag="Queue", signing="address", codes=_QUEUE),
    ("/v1/events/s3", "post"): OperationRow(
        name="postEvents",
        tag="Events",
        signing="token",
        codes={
            400: ("bad-event", "bad-request"),
            401: ("bad-token",),
            503: ("busy", "queue-unavailable", "sns-unreachable"),
        },
    ),
    ("/healthz", "get"): OperationRow(name="getLiveness", tag="Health"),
    ("/readyz", "get"): OperationRow(name="getReadiness", tag="Health"),
}
"""Path and method -> operation. A route without a row here is a fault that a test finds."""
