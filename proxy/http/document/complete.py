"""Completes the document that Litestar derives from the routes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from litestar.openapi.spec import (
    OpenAPIResponse,
    Parameter,
    RequestBody,
    Schema,
    Server,
    Tag,
)
from litestar.openapi.spec.enums import OpenAPIType

from proxy.http.document.callbacks import TAG as CALLBACKS_TAG
from proxy.http.document.callbacks import callback_example, callbacks
from proxy.http.document.examples import REQUESTS, RESPONSES, builtins, problem_example
from proxy.http.document.operations import OPERATIONS, TAGS
from proxy.http.document.patterns import CURSOR, file_pattern, original_pattern
from proxy.http.document.response_headers import HEADERS, header_references
from proxy.http.document.signature_headers import SCHEMES, security, signature_headers
from proxy.http.openapi import problem_responses, write_in
from proxy.http.problems import PROBLEM
from proxy.http.upload_schema import write_uploads
from proxy.keys.syntax import MAX_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.openapi.spec import OpenAPI, Operation

    from proxy.http.document.described import DescribedService
    from proxy.http.document.operations import OperationRow

JSON: Final = "application/json"
TOO_LONG: Final = {414: "The path and the query are longer than any key."}
METHODS: Final = ("get", "put", "post", "delete")


def completed(document: OpenAPI, service: DescribedService) -> dict[str, Any]:
    """Return the complete document, as JSON has it."""
    write_in(document, sizes=service.sizes, has_files=service.has_files, is_streaming=service.is_streaming)
    write_uploads(document, sizes=service.sizes)
    document.servers = [Server(url=service.base_path or "/")]
    document.tags = [Tag(name=name, description=words) for name, words in TAGS.items()]
    document.tags.append(Tag(name=CALLBACKS_TAG, description="What the service sends when a job has ended."))
    document.components.security_schemes = {**SCHEMES}
    document.components.headers = {**HEADERS}
    document.webhooks = callbacks()
    for path, item in (document.paths or {}).items():
        item.head = None  # HEAD is answered as GET is, without the body
        pattern = (
            file_pattern(service.layout, service.sizes, is_folder=service.is_folder)
            if path.startswith("/files/")
            else original_pattern(service.layout, is_folder=service.is_folder)
        )
        _restrict({one.name: one.schema for one in item.parameters or [] if isinstance(one, Parameter)}, pattern)
        for method in METHODS:
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                row = OPERATIONS[path, method]
                _complete(operation, row, service, pattern=pattern, has_key="{key}" in path)
    made: dict[str, Any] = builtins(document.to_schema())
    for (path, method), row in OPERATIONS.items():
        if path in made["paths"]:  # a service with a bucket has no files
            _add_examples(made["paths"][path][method], row)
    for kind, item in made["webhooks"].items():
        item["post"]["requestBody"]["content"][JSON]["examples"] = {kind: {"value": callback_example(kind)}}
    return made


def _complete(
    operation: Operation, row: OperationRow, service: DescribedService, *, pattern: str, has_key: bool
) -> None:
    operation.operation_id = row.name
    operation.tags = [row.tag]
    operation.security = security(row.signing, is_open=service.is_open)
    parameters = [_plain(one) if isinstance(one, Parameter) else one for one in operation.parameters or []]
    if row.signing in ("body", "address"):
        parameters += signature_headers(required=not service.is_open)
    operation.parameters = parameters
    if isinstance(operation.request_body, RequestBody) and (body := operation.request_body.content.get(JSON)):
        properties = body.schema.properties if isinstance(body.schema, Schema) else None
        _restrict(properties or {}, pattern)
    further = problem_responses(TOO_LONG) if has_key else {}
    operation.responses = {
        status: replace(response, headers=header_references(row, status))
        for status, response in {**(operation.responses or {}), **further}.items()
        if isinstance(response, OpenAPIResponse)
    }


def _add_examples(operation: dict[str, Any], row: OperationRow) -> None:
    """Add examples to the bodies of an operation in the finished document: Litestar would leave out their nulls."""
    if row.name in REQUESTS:
        operation["requestBody"]["content"][JSON]["examples"] = {row.name: {"value": REQUESTS[row.name]}}
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if PROBLEM in content:
            codes = row.codes_of(int(status))
            examples = {code: {"value": problem_example(code, int(status))} for code in codes}
            content[PROBLEM]["examples"] = examples
        elif (row.name, status) in RESPONSES:
            content[JSON]["examples"] = {row.name: {"value": builtins(RESPONSES[row.name, status])}}


def _plain(parameter: Parameter) -> Parameter:
    """Return a query parameter without null: it is absent or has a value."""
    schema = parameter.schema
    if parameter.param_in == "path" and isinstance(schema, Schema) and schema.pattern is None:
        return replace(parameter, schema=replace(schema, min_length=1))
    if parameter.param_in != "query" or not isinstance(schema, Schema):
        return parameter
    kinds = [one for one in schema.one_of or [] if isinstance(one, Schema) and one.type is not OpenAPIType.NULL]
    values = [value for value in schema.enum or [] if value is not None]
    kind = kinds[0].type if kinds else schema.type
    if isinstance(kind, list):
        (kind,) = (one for one in kind if one is not OpenAPIType.NULL)
    form = CURSOR if parameter.name == "cursor" else schema.pattern
    return replace(parameter, schema=replace(schema, one_of=None, type=kind, enum=values or None, pattern=form))


def _restrict(schemas: Mapping[str, Any], pattern: str) -> None:
    """Give the schema of a key the pattern that the service checks."""
    if key := schemas.get("key"):
        key.pattern, key.min_length, key.max_length = pattern, 1, MAX_KEY_BYTES
