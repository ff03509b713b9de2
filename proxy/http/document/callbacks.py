"""The callbacks that the service sends, as `webhooks` of the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from proxy.facts.reader import OriginalFacts
from proxy.http.document.examples import AT, CALLBACKS, FACTS, builtins
from proxy.http.document.signature_headers import SIGNED, signature_headers
from proxy.http.struct_schema import schema_of

if TYPE_CHECKING:
    from collections.abc import Mapping

TAG: Final = "Callbacks"

WITH_FACTS: Final = "job.done"

_SUMMARIES: Final[Mapping[str, str]] = {
    "job.done": "A job is done",
    "job.error": "A job has failed",
    "takedown.done": "A picture was taken down",
    "takedown.error": "A takedown has failed",
}

_DESCRIPTION: Final = (
    "Sent to the `callback_url` of the request, and signed as requests are, with every secret of CALLBACK_SECRETS. "
    "Delivery is at least once: a repeated delivery has the same `webhook-id`. What is not accepted is sent again for "
    "about a day."
)


def callbacks() -> dict[str, PathItem | Reference]:
    """Return the callbacks by their type."""
    return {kind: PathItem(post=_operation(kind)) for kind in CALLBACKS}


def _operation(kind: str) -> Operation:
    words = kind.split(".")
    return Operation(
        tags=[TAG],
        summary=_SUMMARIES[kind],
        description=_DESCRIPTION,
        operation_id="on" + "".join(map(str.capitalize, words)),
        parameters=[*signature_headers(required=False)],
        security=[{}, {SIGNED: []}],
        request_body=RequestBody(
            required=True,
            content={"application/json": OpenAPIMediaType(schema=_schema(kind))},
        ),
        responses={
            "204": OpenAPIResponse(description="The receiver has accepted the callback; any 2xx does."),
            "410": OpenAPIResponse(description="The receiver wants no more attempts."),
            "503": OpenAPIResponse(description="The callback is sent again later, as after any other response."),
        },
    )


def callback_example(kind: str) -> object:
    """Return a callback of this type."""
    data = builtins(CALLBACKS[kind])
    del data["callback"]
    if kind == WITH_FACTS:
        data["facts"] = builtins(FACTS)
    return {"type": kind, "timestamp": builtins(AT), "data": data}


def _schema(kind: str) -> Schema:
    job = Reference(ref="#/components/schemas/Job")
    facts = Schema(
        one_of=[schema_of(OriginalFacts), Schema(type=OpenAPIType.NULL)],
        description="The facts of the original, read for this attempt; null if that fails. Absent if callbacks are not "
        "signed.",
    )
    with_facts = Schema(all_of=[job, Schema(type=OpenAPIType.OBJECT, properties={"facts": facts})])
    return Schema(
        type=OpenAPIType.OBJECT,
        required=["type", "timestamp", "data"],
        properties={
            "type": Schema(type=OpenAPIType.STRING, const=kind),
            "timestamp": Schema(
                type=[OpenAPIType.STRING, OpenAPIType.NULL],
                format=OpenAPIFormat.DATE_TIME,
                description="When it ended.",
            ),
            "data": with_facts if kind == WITH_FACTS else job,
        },
    )
