"""The part of the OpenAPI document that describes the bodies of uploads and their orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from pipeline.formats.registry import READABLE
from proxy.http.openapi import BAD_SIGNATURE, NO_CAPACITY, STORE_FAILED, job_schema
from proxy.intake.uploads.urls import PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.openapi.spec import OpenAPI

TYPES: Final = tuple(readable.content_type for readable in READABLE.values())
"""The content types of originals."""

ORDER_PROBLEMS: Final = {
    400: "The body is not a valid order, or the request has query parameters.",
    401: BAD_SIGNATURE,
    413: "The body is too large, or the ordered file is.",
    422: "A size does not exist, or callbacks to this URL are not allowed.",
}

UPLOAD_PROBLEMS: Final = {
    400: "The upload is incomplete, or the request has query parameters.",
    403: "This service did not issue the URL.",
    408: "The upload took too long.",
    409: "The original exists and is not to be replaced, or another upload to this URL is running.",
    410: "The URL has expired, or was used.",
    413: "The file is too large.",
    422: "The file is not an image in a supported format, or is not what was ordered.",
    502: STORE_FAILED,
    503: f"Too many uploads are running, or temporary files cannot be stored. {NO_CAPACITY}",
}


def write_uploads(document: OpenAPI, *, sizes: Sequence[str]) -> None:
    """Add the bodies of the routes below `/v1/uploads`, which are not parsed by Litestar."""
    paths = document.paths or {}
    order, upload = paths[PATH].post, paths[f"{PATH}/{{token}}"].put
    if order and upload:
        order.request_body = RequestBody(
            content={"application/json": OpenAPIMediaType(schema=_order(sizes))}, required=True
        )
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        upload.request_body = RequestBody(content={"image/*": OpenAPIMediaType(schema=file)}, required=True)


def _order(sizes: Sequence[str]) -> Schema:
    schema = job_schema(sizes)
    schema.properties = {
        **(schema.properties or {}),
        "replace": Schema(type=OpenAPIType.BOOLEAN, description="Replace the original if it exists."),
        "content_type": Schema(
            type=OpenAPIType.STRING,
            enum=[*TYPES],
            description="The only type that may be uploaded; every type of originals if absent.",
        ),
        "bytes": Schema(
            type=OpenAPIType.INTEGER,
            minimum=1,
            description="The only length that may be uploaded; every length up to the limit if absent.",
        ),
    }
    return schema
