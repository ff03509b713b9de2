"""The OpenAPI document, and the page that displays it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import (
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

from proxy.http.problems import PROBLEM, Problem
from proxy.keys.layouts import ORIGINAL
from proxy.webhooks.allowlist import MAX_URL_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.openapi.spec import OpenAPI

TEXT = Schema(type=OpenAPIType.STRING)

EXAMPLE = "gall/58/58_1_original.jpg"

MAX_SIZES = 64
"""The maximum number of sizes in a posted job."""

DESCRIPTION = """
Renders the sizes of photographs: all of them when a signed job is posted, the missing ones when a page asks.

What is posted is signed as standardwebhooks.com says. Requests without a body that need a signature, to list jobs,
run one again or purge, sign their method and address in its place, such as `GET /v1/jobs?status=error`.
"""

IMAGE_PROBLEMS = {
    400: "not a key, or not an original's",
    404: "no original under that key, or no size of that name",
    413: "the original's file is too large",
    422: "the original cannot be rendered",
    500: "the render process died",
    502: "the store failed",
    503: "the line for a render is full, or there is no room to work in",
    504: "the render took too long",
}

PURGE_PROBLEMS = {
    400: "not a key, or not an original's",
    401: "not signed by a known secret",
    502: "the store failed, or its credentials may not delete",
}

SENDING_PROBLEMS = {
    412: "it is not as the request wants it to be",
    416: "it has no such part",
    503: "as much as can be is being made or sent",
}

FILE_PROBLEMS = {400: "not a key", 404: "nothing under that key", 502: "the store failed"}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the response specifications for these statuses, each with a problem as its body."""
    return {status: ResponseSpec(Problem, generate_examples=False, media_type=PROBLEM) for status in statuses}


def openapi() -> OpenAPIConfig:
    """Return the configuration of the document: `/schema` serves the page, `/schema/openapi.json` the document."""
    return OpenAPIConfig(
        title="Gallformers images",
        version=version("gallformers-images"),
        description=DESCRIPTION.strip(),
        path="/schema",
        render_plugins=[SwaggerRenderPlugin(path="/")],
        use_handler_docstrings=True,
    )


def write_in(document: OpenAPI, *, sizes: Sequence[str], has_files: bool, is_streaming: bool) -> None:
    """Add what Litestar cannot derive: mounted routes, and the body that is verified before it is parsed."""
    paths = document.paths if document.paths is not None else {}
    paths["/img/{key}/{size}"] = _image_path(sizes, is_streaming=is_streaming)
    paths["/v1/derivatives/{key}"] = _purge_path()
    if has_files:
        paths["/files/{key}"] = _file_path()
    post = paths["/v1/jobs"].post
    if post is not None:
        post.request_body = RequestBody(
            content={"application/json": OpenAPIMediaType(schema=_job(sizes))}, required=True
        )
    document.paths = paths


def _job(sizes: Sequence[str]) -> Schema:
    properties: dict[str, Reference | Schema] = {
        "key": Schema(type=OpenAPIType.STRING, description="the original's key", examples=[EXAMPLE]),
        "sizes": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=OpenAPIType.STRING, enum=sizes),
            max_items=MAX_SIZES,
            description="some of the sizes; all when absent",
        ),
        "force": Schema(type=OpenAPIType.BOOLEAN, description="make those again that are fresh"),
        "callback_url": Schema(
            type=OpenAPIType.STRING,
            max_length=MAX_URL_CHARACTERS,
            description="told, signed, when the job has ended; its host is one of CALLBACK_HOSTS",
        ),
    }
    return Schema(type=OpenAPIType.OBJECT, required=["key"], properties=properties, additional_properties=False)


def _image_path(sizes: Sequence[str], *, is_streaming: bool) -> PathItem:
    parameters: list[Parameter | Reference] = [
        _parameter("key", "the original's key; its slashes may stay slashes", example=EXAMPLE),
        _parameter("size", "a size of the sizes file, or `original`", example=sizes[0], values=(*sizes, ORIGINAL)),
    ]
    found = OpenAPIResponse(
        description="where the derivative is; made first if it was not there",
        headers={"Location": OpenAPIHeader(description="its address", schema=TEXT)},
    )
    return _read_only(
        name="Image",
        summary="A size of an original",
        parameters=parameters,
        well=_sent() if is_streaming else {"302": found},
        ill={**IMAGE_PROBLEMS, **SENDING_PROBLEMS} if is_streaming else IMAGE_PROBLEMS,
    )


def _sent() -> dict[str, OpenAPIResponse | Reference]:
    """Return the successful responses of a route that sends bytes: whole, in part, or not modified."""
    content = {"image/*": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))}
    return {
        "200": OpenAPIResponse(description="its bytes", content=content),
        "206": OpenAPIResponse(description="the part of them that was asked for", content=content),
        "304": OpenAPIResponse(description="the client has them already"),
    }


def _file_path() -> PathItem:
    parameters: list[Parameter | Reference] = [
        _parameter("key", "what a redirect or a job named", example="gall/58/58_1_medium.jpg")
    ]
    return _read_only(
        name="File",
        summary="What lies in the store",
        parameters=parameters,
        well=_sent(),
        ill={**FILE_PROBLEMS, **SENDING_PROBLEMS},
    )


def _purge_path() -> PathItem:
    purged = Schema(
        type=OpenAPIType.OBJECT,
        required=["key", "deleted"],
        properties={"key": TEXT, "deleted": Schema(type=OpenAPIType.ARRAY, items=TEXT)},
    )
    gone = OpenAPIResponse(
        description="the original that stays, the keys under which nothing is any more",
        content={"application/json": OpenAPIMediaType(schema=purged)},
    )
    return PathItem(
        parameters=[_parameter("key", "the original's key", example=EXAMPLE)],
        delete=Operation(
            summary="Remove every derivative of an original",
            operation_id="purgeDerivatives",
            responses={"200": gone, **_refused(PURGE_PROBLEMS)},
        ),
    )


def _parameter(name: str, description: str, *, example: str, values: Sequence[str] | None = None) -> Parameter:
    schema = Schema(type=OpenAPIType.STRING, min_length=1, enum=values, examples=[example])
    return Parameter(name=name, param_in="path", required=True, description=description, schema=schema)


def _read_only(
    *,
    name: str,
    summary: str,
    parameters: list[Parameter | Reference],
    well: dict[str, OpenAPIResponse | Reference],
    ill: dict[int, str],
) -> PathItem:
    responses = {**well, **_refused(ill)}
    return PathItem(
        parameters=parameters,
        get=Operation(summary=summary, operation_id=f"get{name}", responses=responses),
        head=Operation(summary=f"{summary}, without the body", operation_id=f"head{name}", responses=responses),
    )


def _refused(ill: dict[int, str]) -> dict[str, OpenAPIResponse | Reference]:
    problem = {PROBLEM: OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))}
    return {str(status): OpenAPIResponse(description=says, content=problem) for status, says in ill.items()}
