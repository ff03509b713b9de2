"""The OpenAPI schemas of messages, for routes from which Litestar cannot derive them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "#/components/schemas/"


def schema_of(kind: type[msgspec.Struct]) -> Schema:
    """Return the schema of a message that always has all its fields, with the schemas of its parts in it."""
    (described,), parts = msgspec.json.schema_components([kind], ref_template=_PREFIX + "{name}")
    return _schema(described, parts)


def _schema(described: Mapping[str, Any], parts: Mapping[str, Any]) -> Schema:
    if "$ref" in described:
        return _schema(parts[described["$ref"].removeprefix(_PREFIX)], parts)
    if "anyOf" in described:
        return _nullable([_schema(one, parts) for one in described["anyOf"]])
    if "enum" in described:
        return Schema(type=OpenAPIType.STRING, enum=sorted(described["enum"]))
    properties: dict[str, Reference | Schema] = {
        name: _schema(one, parts) for name, one in described.get("properties", {}).items()
    }
    values = described.get("additionalProperties")
    return Schema(
        type=OpenAPIType(described["type"]),
        description=described.get("description"),
        properties=properties or None,
        required=[*properties] or None,
        items=_schema(described["items"], parts) if "items" in described else None,
        additional_properties=_schema(values, parts) if values else None,
    )


def _nullable(choices: list[Schema]) -> Schema:
    """Return the one of some choices that is not null, as a schema that permits null, too."""
    null = Schema(type=OpenAPIType.NULL)
    (other,) = (choice for choice in choices if choice.type is not OpenAPIType.NULL)
    return Schema(one_of=[other, null]) if other.properties else Schema(type=[other.type, OpenAPIType.NULL])  # type: ignore[list-item]
