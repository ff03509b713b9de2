"""Examples of requests and responses; a test checks each against its schema."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.facts_model import Camera, Exposure, Place
from proxy.concurrency.timings import Timings
from proxy.derivatives.picture.picture import PictureDescription, PicturePlaceholder, PictureSize
from proxy.facts.reader import OriginalFacts
from proxy.http.problem_catalog import catalog
from proxy.http.problems import Problem
from proxy.jobs.job import Job, JobDerivative, JobError, SizeOutcome
from proxy.jobs.takedown.receipt import PublicAddress, RemovedBlob, TakedownReceipt

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY: Final = "gall/58/58_1_original.jpg"
DERIVATIVE: Final = "gall/58/58_1_small.jpg"
URL: Final = f"https://images.example.org/{DERIVATIVE}"
JOB_ID: Final = "0f3c9a52b7e1"
AT: Final = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)
REQUEST_ID: Final = "8c6b1f0a4d2e4c3b"

_JPEG, _WIDTH, _HEIGHT, _BYTES = "image/jpeg", 300, 225, 19_380

PICTURE: Final = PictureDescription(
    key=KEY,
    width=4000,
    height=3000,
    format="jpeg",
    animated=False,
    color="#8a96ad",
    placeholder=PicturePlaceholder(lqip="data:image/webp;base64,UklGRg", thumbhash="GyYKNYxnd4d4"),
    sizes=(PictureSize(size="small", url=URL, width=_WIDTH, height=_HEIGHT, bytes=_BYTES, content_type=_JPEG),),
    srcset={_JPEG: f"{URL} 300w"},
)

QUEUED: Final = Job(
    id=JOB_ID,
    key=KEY,
    status="queued",
    attempts=0,
    created_at=AT,
    started_at=None,
    finished_at=None,
    sizes=(SizeOutcome(size="small", status="waiting"),),
    derivatives=(),
    timings=None,
    retry=None,
    error=None,
)

DONE: Final = msgspec.structs.replace(
    QUEUED,
    status="done",
    attempts=1,
    started_at=AT,
    finished_at=AT,
    sizes=(SizeOutcome(size="small", status="done"),),
    derivatives=(
        JobDerivative(
            size="small", key=DERIVATIVE, url=URL, width=_WIDTH, height=_HEIGHT, bytes=_BYTES, content_type=_JPEG
        ),
    ),
    picture=PICTURE,
    timings=Timings(store_seconds=0.02, wait_seconds=0.0, render_seconds=0.14, ready_seconds={"small": 0.12}),
)

FAILED: Final = msgspec.structs.replace(
    DONE,
    status="error",
    sizes=(SizeOutcome(size="small", status="error"),),
    derivatives=(),
    picture=None,
    error=JobError(code="corrupt", detail="The file is truncated; upload it again."),
)

CANCELLED: Final = msgspec.structs.replace(
    FAILED, error=JobError(code="cancelled", detail="The job was cancelled on request. Replay it to run it.")
)

TAKEN_DOWN: Final = msgspec.structs.replace(
    DONE,
    sizes=(),
    derivatives=(),
    picture=None,
    takedown=TakedownReceipt(
        removed=(RemovedBlob(key=KEY, versions=("",), bytes=4_812_033),),
        addresses=(PublicAddress(url=URL, status=404, purged=True),),
    ),
)

FACTS: Final = OriginalFacts(
    key=KEY,
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    bytes=4_812_033,
    format="jpeg",
    width=4000,
    height=3000,
    taken_at="2026-06-21T14:03:11+02:00",
    camera=Camera(make="Canon", model="EOS R5"),
    exposure=Exposure(seconds=0.008, f_number=8.0, iso=200, focal_length=100.0),
    place=Place(latitude=47.1, longitude=8.5),
    creator="A. Photographer",
)

_QUEUE: Final = {"paused_since": None, "waiting": 3, "oldest_seconds": 1.25, "workers": 2}
_PAUSED: Final = {**_QUEUE, "paused_since": "2026-11-29T10:00:00Z"}
_PAGE: Final = {"jobs": (FAILED,), "next": None, "complete": True}
_HEALTH: Final = {"status": "ok", "missing": []}

RESPONSES: Final[Mapping[tuple[str, str], object]] = {
    ("getPicture", "200"): PICTURE,
    ("createJob", "202"): QUEUED,
    ("listJobs", "200"): _PAGE,
    ("getJob", "200"): DONE,
    ("replayJob", "202"): QUEUED,
    ("replayJobs", "202"): {**_PAGE, "jobs": (QUEUED,)},
    ("cancelJob", "202"): CANCELLED,
    ("orderUpload", "201"): {
        "upload_url": "https://images.example.org/v1/uploads/eyJrIjoi",
        "key": KEY,
        "expires_at": "2026-11-29T10:10:00Z",
    },
    ("putUpload", "201"): QUEUED,
    ("getFacts", "200"): FACTS,
    ("purgeDerivatives", "200"): {"key": KEY, "deleted": [DERIVATIVE], "existed": [DERIVATIVE]},
    ("takeDown", "202"): msgspec.structs.replace(QUEUED, sizes=(), takedown=TakedownReceipt()),
    ("getQueue", "200"): _QUEUE,
    ("pauseQueue", "200"): _PAUSED,
    ("resumeQueue", "200"): _QUEUE,
    ("postEvents", "200"): {
        "events": [
            {
                "bucket": "originals",
                "key": KEY,
                "outcome": "queued",
                "detail": "A job renders the derivatives of this original.",
                "job": JOB_ID,
            }
        ]
    },
    ("getLiveness", "200"): _HEALTH,
    ("getReadiness", "200"): _HEALTH,
    ("getReadiness", "503"): {"status": "unready", "missing": ["store: store-unavailable"]},
}
"""Name of an operation and status -> the body of a response."""

REQUESTS: Final[Mapping[str, object]] = {
    "createJob": {"key": KEY, "sizes": ["small"]},
    "orderUpload": {"key": KEY, "content_type": _JPEG},
    "postEvents": {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": "originals"}, "object": {"key": KEY}},
            }
        ]
    },
}
"""Name of an operation -> the body of a request."""

CALLBACKS: Final[Mapping[str, Job]] = {
    "job.done": DONE,
    "job.error": FAILED,
    "takedown.done": TAKEN_DOWN,
    "takedown.error": msgspec.structs.replace(
        TAKEN_DOWN,
        status="error",
        error=JobError(code="takedown-unfinished", detail="A cache still serves the picture."),
    ),
}
"""Type of a callback -> the job in it."""


def builtins(example: object) -> Any:
    """Return an example as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(example))


@cache
def problem_example(code: str, status: int) -> dict[str, Any]:
    """Return a problem of this type, as the body of a response."""
    kind = catalog()[code]
    body: dict[str, Any] = builtins(
        Problem(type=kind.path, title=kind.title, status=status, detail=kind.meaning, request_id=REQUEST_ID)
    )
    return body
