"""The routes of the HTTP interface, and the objects that they exchange."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tests.documents.reference.openapi import METHODS, Body, Field, Route, Shape, document
from tests.documents.reference.tables import code, prose, table

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "null", "object": "object"}
"""Name of a type in the document -> its name for readers."""


class Shown(NamedTuple):
    """A route with its method and path."""

    method: str
    path: str
    route: Route
    parameters: tuple[Field, ...]

    @property
    def title(self) -> str:
        """Return the heading of its section."""
        return f"{self.method} {self.path}"


def shown_routes() -> Iterator[Shown]:
    """Yield every route, in the order of the document."""
    known = document().components.parameters
    for path, item in document().paths.items():
        for method in METHODS:
            if route := getattr(item, method):
                fields = (*item.parameters, *route.parameters)
                yield Shown(
                    method.upper(), path, route, tuple(known[_name(one.ref)] if one.ref else one for one in fields)
                )


def routes_table(_: str) -> str:
    """Return every route with its summary, and who may call it."""
    rows = ([f"[`{one.title}`](#{_anchor(one.title)})", one.route.summary, _access(one)] for one in shown_routes())
    return table(["route", "what it does", "access"], rows)


def route_sections(_: str) -> str:
    """Return a section for each route: parameters, body and responses."""
    return "\n\n".join("\n\n".join(_section(one)) for one in shown_routes())


def schema_sections(_: str) -> str:
    """Return a section for each object that a body consists of."""
    schemas = document().components.schemas.items()
    return "\n\n".join(f"### {name}\n\n{_properties(shape)}" for name, shape in schemas if shape.properties)


def _section(one: Shown) -> Iterator[str]:
    yield f"### {one.title}"
    yield prose(one.route.description or f"{one.route.summary}.")
    if one.parameters:
        rows = [[code(field.name), field.place, _type(field.shape), _meaning(field)] for field in one.parameters]
        yield table(["parameter", "in", "value", "meaning"], rows)
    for kind, content in (one.route.request_body.content if one.route.request_body else {}).items():
        yield f"The body is `{kind}`: {_type(content.shape)}. {prose(content.shape.description)}".strip()
        if content.shape.properties:
            yield _properties(content.shape)
    rows = [[code(status), _body(body), prose(body.description)] for status, body in one.route.responses.items()]
    yield table(["status", "body", "when"], sorted(rows))


def _access(one: Shown) -> str:
    if one.route.security is not None:
        return ", ".join(name for scheme in one.route.security for name in scheme) or "public"
    if "401" not in one.route.responses:
        return "public"
    return "token" if "token" in one.route.responses["401"].description else "signed"


def _meaning(field: Field) -> str:
    return prose(field.description or field.shape.description) + ("" if field.required else _default(field.shape))


def _default(shape: Shape) -> str:
    if shape.default in (msgspec.UNSET, None, "", []):
        return ""
    return f" Default: `{json.dumps(shape.default)}`."


def _body(body: Body) -> str:
    kinds = [_type(content.shape) for content in body.content.values()]
    return "; ".join(dict.fromkeys(kinds)) or "none"


def _properties(shape: Shape) -> str:
    rows = (
        [code(name), _type(one), "yes" if name in shape.required else "no", prose(one.description) + _default(one)]
        for name, one in shape.properties.items()
    )
    return table(["field", "value", "always", "meaning"], rows)


def _type(shape: Shape) -> str:
    if shape.ref:
        return f"[{_name(shape.ref)}](#{_name(shape.ref).lower()})"
    if shape.one_of:
        return " or ".join(_type(one) for one in shape.one_of)
    if shape.enum:
        return ", ".join("null" if one is None else code(one) for one in shape.enum)
    if shape.type == "array":
        return f"list of {_type(shape.items or Shape())}"
    if shape.format in ("date-time", "binary", "uri"):
        return {"date-time": "time (RFC 3339)", "binary": "bytes", "uri": "URL"}[shape.format]
    kinds = [shape.type] if isinstance(shape.type, str) else shape.type
    return " or ".join(TYPES.get(kind, kind) for kind in kinds if kind) + _bounds(shape) or "JSON"


def _bounds(shape: Shape) -> str:
    if shape.minimum is None:
        return ""
    return f", {shape.minimum:g} to {shape.maximum:g}" if shape.maximum is not None else f", from {shape.minimum:g}"


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
