"""`/schema`: every operation of the API on one page, with forms that sign and send requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar.openapi.plugins import OpenAPIRenderPlugin

from proxy.http.document.operations import OPERATIONS
from proxy.pages.questions import QUESTIONS
from proxy.webhooks.signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from litestar import Request

    from proxy.pages.page import Pages
    from proxy.pages.questions import Question

Document = dict[str, Any]

METHODS: Final = ("get", "put", "post", "delete")
SIGNATURE: Final = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A parameter, or a property of a body: its name, its type in words, and what it is for."""

    name: str
    type: str
    place: str = ""
    required: bool = False
    description: str = ""
    example: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response: its status, its meaning, its headers, and examples of its body by name."""

    status: str
    description: str
    headers: tuple[str, ...]
    examples: Mapping[str, str]
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOperation:
    """An operation, or a callback, as the page shows it."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    signing: str
    parameters: tuple[Field, ...]
    body_type: str
    body_fields: tuple[Field, ...]
    body_example: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The operations with one tag."""

    name: str
    description: str
    operations: list[ShownOperation] = field(default_factory=list)


class ReferencePage(OpenAPIRenderPlugin):
    """The page, which is rendered once; `origin` is what requests without a body sign before their path."""

    def __init__(self, pages: Pages, document: Callable[[], Document], *, origin: str = "") -> None:
        super().__init__(path="/")
        self._origin = origin
        self._pages = pages
        self._document = document
        self._page = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Document) -> bytes:  # noqa: ARG002 - Litestar's signature
        """Return the page."""
        self._page = self._page or self._rendered(self._document())
        return self._page

    def _rendered(self, document: Document) -> bytes:
        return self._pages.render(
            "pages/templates/schema.html",
            groups=groups(document),
            schemas={name: _fields(one, document) for name, one in document["components"]["schemas"].items()},
            version=document["info"]["version"],
            origin=self._origin,
            signed_by=SIGNATURE,
            questions={name: _asked(question) for name, question in QUESTIONS.items()},
        )


def groups(document: Document) -> list[Group]:
    """Return the operations of a document by tag, callbacks last."""
    found = {tag["name"]: Group(name=tag["name"], description=tag["description"]) for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                common = item.get("parameters", [])
                shown = _operation(operation, document, method=method, path=path, common=common)
                found[operation["tags"][0]].operations.append(shown)
    for kind, item in document["webhooks"].items():
        shown = _operation(item["post"], document, method="post", path=kind, common=[])
        found[item["post"]["tags"][0]].operations.append(shown)
    order = {row.name: number for number, row in enumerate(OPERATIONS.values())}
    for group in found.values():
        group.operations.sort(key=lambda one: order.get(one.name, len(order)))
    return [*found.values()]


def _operation(
    operation: Document, document: Document, *, method: str, path: str, common: list[Document]
) -> ShownOperation:
    row = OPERATIONS.get((path, method))
    body = operation.get("requestBody", {}).get("content", {})
    body_type: str = next(iter(body), "")
    media: Document = body.get(body_type, {})
    examples = [*media.get("examples", {}).values()]
    return ShownOperation(
        name=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        signing=(row.signing or "") if row else "",
        parameters=tuple(_parameter(one, document) for one in (*common, *operation.get("parameters", []))),
        body_type=body_type,
        body_fields=_fields(media.get("schema", {}), document),
        body_example=_json(examples[0]["value"]) if examples else "",
        answers=tuple(_answers(operation["responses"])),
    )


def _asked(question: Question) -> Mapping[str, str]:
    """Return a question by the names of the data attributes that the script reads."""
    return {"question": question.title, "effect": question.effect, "button": question.button}


def _answers(responses: Mapping[str, Document]) -> Iterator[Answer]:
    for status, response in sorted(responses.items()):
        media: Document = next(iter(response.get("content", {}).values()), {})
        yield Answer(
            status=status,
            description=response["description"],
            headers=tuple(response.get("headers", {})),
            examples={name: _json(one["value"]) for name, one in media.get("examples", {}).items()},
            schema=_name(media.get("schema", {})),
        )


def _parameter(parameter: Document, document: Document) -> Field:
    schema = parameter["schema"]
    return Field(
        name=parameter["name"],
        place=parameter["in"],
        type=_type(schema, document),
        required=parameter.get("required", False),
        description=parameter.get("description", ""),
        example=str((schema.get("examples") or [schema.get("default", "")])[0]),
        values=tuple(map(str, schema.get("enum", ()))),
    )


def _fields(schema: Document, document: Document) -> tuple[Field, ...]:
    """Return the properties of an object; parts that have a name of their own are linked, not repeated."""
    return tuple(
        Field(
            name=name,
            type=_type(one, document),
            required=name in schema.get("required", ()),
            description=one.get("description", ""),
            values=tuple(str(value) for value in one.get("enum", ()) if value is not None),
        )
        for name, one in schema.get("properties", {}).items()
    )


def _type(schema: Document, document: Document) -> str:
    """Return the type of a value in words, such as `list of text` or `number or null`."""
    if "$ref" in schema:
        return _name(schema)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return " or ".join(_type(one, document) for one in schema[choice])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), document)}"
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(sorted(("text" if one == "string" else one for one in kinds), key=lambda one: one == "null"))


def _name(schema: Document) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()
