"""The OpenAPI document: what Litestar cannot derive from the routes."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Contact,
    License,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from proxy import SUMMARY
from proxy.facts.reader import OriginalFacts
from proxy.http.document.patterns import RECEIVER
from proxy.http.problems import PROBLEM, Problem
from proxy.http.struct_schema import schema_of
from proxy.keys.layouts import ORIGINAL
from proxy.webhooks.allowlist import MAX_URL_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from litestar import Request
    from litestar.openapi.plugins import OpenAPIRenderPlugin
    from litestar.openapi.spec import OpenAPI

PATH: Final = "/schema"

TEXT = Schema(type=OpenAPIType.STRING)

AUTHORS, HOMEPAGE, LICENCE = "the Gallformers image service authors", "https://www.gallformers.org", "Apache-2.0"

EXAMPLE = "gall/58/58_1_original.jpg"

MAX_SIZES = 64
"""The maximum number of sizes in a posted job."""

DESCRIPTION = f"""
{SUMMARY}

Posted jobs are signed as standardwebhooks.com describes. Requests without a body that need a signature (to list
jobs, to run them again or cancel them, to pause the queue, to delete derivatives, to read facts) sign their method and
path with the query instead, such as `GET /v1/jobs?status=error`. Below `/v1`, unknown query parameters are errors.
"""

INVALID_KEY = "The key is invalid, or is not the key of an original."
BAD_SIGNATURE = "The signature is missing or invalid, or its timestamp is more than five minutes off."
STORE_FAILED = "The image store is unavailable, or rejects the operation."
QUEUE_FAILED = "The job queue is unavailable."
NO_CAPACITY = "The job queue is full or unavailable."
NO_PARAMETERS = "The request has query parameters; this route has none."
BAD_PARAMETER = "A query parameter is unknown, repeated or invalid."
UNKNOWN_JOB = "No job has this id, or it ended too long ago."

IMAGE_PROBLEMS = {
    400: INVALID_KEY,
    404: "The original or the size does not exist.",
    413: "The file of the original is too large.",
    422: "The original cannot be rendered.",
    500: "Rendering failed unexpectedly.",
    502: STORE_FAILED,
    503: "The render queue is full, or temporary files cannot be stored.",
    504: "Rendering timed out.",
}

PURGE_PROBLEMS = {400: f"{INVALID_KEY} Or the request has query parameters.", 401: BAD_SIGNATURE, 502: STORE_FAILED}

TAKEDOWN_PROBLEMS = {
    400: f"{INVALID_KEY} Or the request has another query parameter.",
    401: BAD_SIGNATURE,
    409: "A permission is missing, which the detail names; nothing was removed.",
    422: "Callbacks to this URL are not allowed.",
    502: f"{STORE_FAILED} Or the CDN does.",
    503: NO_CAPACITY,
}

FACTS_PROBLEMS = {
    400: f"{INVALID_KEY} Or the request has query parameters.",
    401: f"{BAD_SIGNATURE} Or the service has no secrets.",
    404: "The original does not exist.",
    413: "The file of the original is too large.",
    422: "The file is not an image in a supported format.",
    500: "Reading failed unexpectedly.",
    502: STORE_FAILED,
    503: "Too much work is in progress, or temporary files cannot be stored.",
    504: "Reading timed out.",
}

STREAMING_PROBLEMS = {
    412: "The file does not match `If-Match` or `If-Unmodified-Since`.",
    416: "The requested range is outside the file.",
    503: "Too many renders or downloads are in progress, or temporary files cannot be stored.",
}

FILE_PROBLEMS = {
    400: "The key is invalid, or is neither the key of an original nor of a derivative.",
    404: "No file exists under this key.",
    502: STORE_FAILED,
}

POST_PROBLEMS = {
    400: "The body is not a valid job, or the request has query parameters.",
    401: BAD_SIGNATURE,
    409: "The original was taken down after this post was signed.",
    413: "The body is too large.",
    422: "A size does not exist, or callbacks to this URL are not allowed.",
    503: NO_CAPACITY,
}

REPLAY_PROBLEMS = {400: NO_PARAMETERS, 401: BAD_SIGNATURE, 404: UNKNOWN_JOB, 503: NO_CAPACITY}

REPLAY_MANY_PROBLEMS = {400: BAD_PARAMETER, 401: BAD_SIGNATURE, 503: NO_CAPACITY}

CANCEL_PROBLEMS = {
    400: NO_PARAMETERS,
    401: BAD_SIGNATURE,
    404: UNKNOWN_JOB,
    409: "The job has ended.",
    503: QUEUE_FAILED,
}

QUEUE_PROBLEMS = {400: NO_PARAMETERS, 401: BAD_SIGNATURE, 503: QUEUE_FAILED}

EVENT_PROBLEMS = {
    400: "The body is not an event in a form that is read, or the request has unknown query parameters.",
    401: "The token is missing or wrong, or the signature of a message of Amazon SNS is.",
    404: "This service accepts no events.",
    413: "The body is too large.",
    502: STORE_FAILED,
    503: "The job queue is full or unavailable, or not everything was done in time. Send the events again.",
}

JOB_PROBLEMS = {400: NO_PARAMETERS, 404: UNKNOWN_JOB, 503: QUEUE_FAILED}

LIST_PROBLEMS = {400: BAD_PARAMETER, 401: BAD_SIGNATURE, 503: QUEUE_FAILED}


def problems(descriptions: Mapping[int, str]) -> dict[int, ResponseSpec]:
    """Return the response specifications for these statuses, each with a problem as its body."""
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=description, media_type=PROBLEM)
        for status, description in descriptions.items()
    }


class JsonDocument(JsonRenderPlugin):
    """Serves the complete document, which is made when it is first requested."""

    def __init__(self, document: Callable[[], dict[str, Any]]) -> None:
        super().__init__(path="/openapi.json")
        self._document = document

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - Litestar's signature
        """Return the document as JSON."""
        return msgspec.json.encode(self._document())


def openapi(plugins: Sequence[OpenAPIRenderPlugin], *, headers: Mapping[str, str]) -> OpenAPIConfig:
    """Return the configuration: `plugins` answer below `/schema`, with these `headers`."""
    return OpenAPIConfig(
        title="Gallformers images",
        version=version("gallformers-images"),
        description=DESCRIPTION.strip(),
        contact=Contact(name=AUTHORS, url=HOMEPAGE),
        license=License(name=LICENCE, identifier=LICENCE),
        path=PATH,
        render_plugins=plugins,
        openapi_router=Router(PATH, route_handlers=[], include_in_schema=False, response_headers=headers),
        use_handler_docstrings=True,
    )


def write_in(document: OpenAPI, *, sizes: Sequence[str], has_files: bool, is_streaming: bool) -> None:
    """Add what Litestar cannot derive: mounted routes, and the body that is verified before it is parsed."""
    paths = document.paths if document.paths is not None else {}
    paths["/img/{key}/{size}"] = _image_path(sizes, is_streaming=is_streaming)
    paths["/v1/derivatives/{key}"] = _purge_path()
    paths["/v1/facts/{key}"] = _facts_path()
    paths["/v1/images/{key}"] = _picture_path()
    paths["/v1/images/{key}"].delete = _takedown()
    if has_files:
        paths["/files/{key}"] = _file_path()
    post = paths["/v1/jobs"].post
    if post is not None:
        post.request_body = RequestBody(
            content={"application/json": OpenAPIMediaType(schema=job_schema(sizes))}, required=True
        )
    events = paths["/v1/events/s3"].post
    if events is not None:
        schema = Schema(description="One event, or a list of events, in one of the forms of docs/events.md.")
        events.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=True)
    document.paths = paths


def job_schema(sizes: Sequence[str]) -> Schema:
    """Return the schema of a posted job."""
    properties: dict[str, Reference | Schema] = {
        "key": Schema(type=OpenAPIType.STRING, description="The key of the original.", examples=[EXAMPLE]),
        "sizes": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=OpenAPIType.STRING, enum=sizes),
            max_items=MAX_SIZES,
            description="The sizes to render; all sizes if absent or empty.",
        ),
        "force": Schema(type=OpenAPIType.BOOLEAN, description="Render sizes again even if they are up to date."),
        "callback_url": Schema(
            type=OpenAPIType.STRING,
            max_length=MAX_URL_CHARACTERS,
            pattern=RECEIVER,
            description="Receives a signed callback when the job has ended; its host must be in CALLBACK_HOSTS.",
        ),
    }
    return Schema(type=OpenAPIType.OBJECT, required=["key"], properties=properties, additional_properties=False)


def _image_path(sizes: Sequence[str], *, is_streaming: bool) -> PathItem:
    parameters: list[Parameter | Reference] = [
        _parameter("key", "The key of the original; its slashes need not be encoded.", example=EXAMPLE),
        _parameter("size", "The name of a size, or `original`.", example=sizes[0], values=(*sizes, ORIGINAL)),
    ]
    redirect = OpenAPIResponse(
        description="A redirect to the derivative, which is rendered first if it does not exist.",
        headers={"Location": OpenAPIHeader(description="The URL of the derivative.", schema=TEXT)},
    )
    return _read_only(
        name="Image",
        summary="Get an image in one size",
        parameters=parameters,
        successes=_file_responses() if is_streaming else {"302": redirect},
        failures={**IMAGE_PROBLEMS, **STREAMING_PROBLEMS} if is_streaming else IMAGE_PROBLEMS,
    )


def _file_responses() -> dict[str, OpenAPIResponse | Reference]:
    """Return the successful responses of a route that sends bytes: whole, in part, or not modified."""
    content = {"image/*": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))}
    return {
        "200": OpenAPIResponse(description="The file.", content=content),
        "206": OpenAPIResponse(description="The requested range of the file.", content=content),
        "304": OpenAPIResponse(description="The file has not changed."),
    }


def _file_path() -> PathItem:
    parameters: list[Parameter | Reference] = [
        _parameter(
            "key",
            "The key of an original or a derivative, as in a redirect or a job.",
            example="gall/58/58_1_medium.jpg",
        )
    ]
    return _read_only(
        name="File",
        summary="Get a stored file",
        parameters=parameters,
        successes=_file_responses(),
        failures={**FILE_PROBLEMS, **STREAMING_PROBLEMS, 503: "Too many downloads are in progress."},
    )


def _picture_path() -> PathItem:
    content = {"application/json": OpenAPIMediaType(schema=Reference(ref="#/components/schemas/PictureDescription"))}
    described = OpenAPIResponse(
        description="The picture; values that are not known are null.",
        headers={"ETag": OpenAPIHeader(description="Changes whenever the response changes.", schema=TEXT)},
        content=content,
    )
    return _read_only(
        name="Picture",
        summary="Describe a picture for a page",
        parameters=[_parameter("key", "The key of the original; its slashes need not be encoded.", example=EXAMPLE)],
        successes={"200": described, "304": OpenAPIResponse(description="The picture has not changed.")},
        failures={**IMAGE_PROBLEMS, 400: f"{INVALID_KEY} Or the request has query parameters."},
    )


def _takedown() -> Operation:
    callback = Parameter(
        name="callback_url",
        param_in="query",
        description="Receives the receipt, `takedown.done`; its host must be in CALLBACK_HOSTS.",
        schema=Schema(type=OpenAPIType.STRING, pattern=RECEIVER, max_length=MAX_URL_CHARACTERS),
    )
    accepted = OpenAPIResponse(
        description="The job of the takedown, which is stored in the queue.",
        headers={"Location": OpenAPIHeader(description="The path of the job.", schema=TEXT)},
        content={"application/json": OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Job"))},
    )
    return Operation(
        summary="Take a picture down",
        description="Removes the original with every version, all derivatives and the copies of the CDN. The job ends "
        "once the public addresses answer 404, 403 or 410. The request has no body: sign its method and path with the "
        "query instead.",
        operation_id="takeDown",
        parameters=[callback],
        responses={"202": accepted, **problem_responses(TAKEDOWN_PROBLEMS)},
    )


def _purge_path() -> PathItem:
    purged = Schema(
        type=OpenAPIType.OBJECT,
        required=["key", "deleted", "existed"],
        properties={
            "key": TEXT,
            "deleted": Schema(type=OpenAPIType.ARRAY, items=TEXT),
            "existed": Schema(
                type=[OpenAPIType.ARRAY, OpenAPIType.NULL],
                items=TEXT,
                description="Those keys that existed before; null if the store cannot be read.",
            ),
        },
    )
    deleted = OpenAPIResponse(
        description="The key of the original, which is kept, and the keys of its derivatives, which no longer exist.",
        content={"application/json": OpenAPIMediaType(schema=purged)},
    )
    return PathItem(
        parameters=[_parameter("key", "The key of the original.", example=EXAMPLE)],
        delete=Operation(
            summary="Delete all derivatives of an original",
            operation_id="purgeDerivatives",
            responses={"200": deleted, **problem_responses(PURGE_PROBLEMS)},
        ),
    )


def _facts_path() -> PathItem:
    facts = OpenAPIResponse(
        description="The facts in the metadata of the original; null where it has none. No cache may keep them.",
        content={"application/json": OpenAPIMediaType(schema=schema_of(OriginalFacts))},
    )
    return _read_only(
        name="Facts",
        summary="Get when, where and with what a photograph was taken, and its rights",
        parameters=[_parameter("key", "The key of the original.", example=EXAMPLE)],
        successes={"200": facts},
        failures=FACTS_PROBLEMS,
    )


def _parameter(name: str, description: str, *, example: str, values: Sequence[str] | None = None) -> Parameter:
    schema = Schema(type=OpenAPIType.STRING, min_length=1, enum=values, examples=[example])
    return Parameter(name=name, param_in="path", required=True, description=description, schema=schema)


def _read_only(
    *,
    name: str,
    summary: str,
    parameters: list[Parameter | Reference],
    successes: dict[str, OpenAPIResponse | Reference],
    failures: dict[int, str],
) -> PathItem:
    responses = {**successes, **problem_responses(failures)}
    return PathItem(
        parameters=parameters,
        get=Operation(summary=summary, operation_id=f"get{name}", responses=responses),
    )


def problem_responses(failures: Mapping[int, str]) -> dict[str, OpenAPIResponse | Reference]:
    """Return the responses of an operation that Litestar does not derive, each with a problem as its body."""
    problem = {PROBLEM: OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))}
    return {
        str(status): OpenAPIResponse(description=description, content=problem)
        for status, description in failures.items()
    }
