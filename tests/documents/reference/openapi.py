"""The OpenAPI document of the service with its default settings, as far as the reference shows it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from proxy.app.asgi import api_document
from proxy.app.wiring import build
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes_file

METHODS = ("get", "post", "put", "delete")
"""The methods that are shown; HEAD is what GET is, without a body."""


class Shape(msgspec.Struct, frozen=True, rename={"ref": "$ref", "one_of": "oneOf", "values": "additionalProperties"}):
    """A schema."""

    type: str | list[str] = ""
    ref: str = ""
    one_of: tuple[Shape, ...] = ()
    enum: tuple[Any, ...] = ()
    items: Shape | None = None
    values: Any = None
    properties: dict[str, Shape] = {}
    required: tuple[str, ...] = ()
    format: str = ""
    pattern: str = ""
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""
    default: Any = msgspec.UNSET


class Field(msgspec.Struct, frozen=True, rename={"place": "in", "shape": "schema"}):
    """A parameter."""

    name: str = ""
    place: str = ""
    ref: str = msgspec.field(name="$ref", default="")
    shape: Shape = Shape()
    description: str = ""
    required: bool = False


class Content(msgspec.Struct, frozen=True, rename={"shape": "schema"}):
    """A body of one content type."""

    shape: Shape = Shape()


class Body(msgspec.Struct, frozen=True):
    """The body of a request, or a response."""

    description: str = ""
    content: dict[str, Content] = {}


class Route(msgspec.Struct, frozen=True, rename="camel"):
    """An operation: a method of a path."""

    summary: str = ""
    description: str = ""
    parameters: tuple[Field, ...] = ()
    request_body: Body | None = None
    responses: dict[str, Body] = {}
    security: tuple[dict[str, list[str]], ...] | None = None


class Path_(msgspec.Struct, frozen=True):  # noqa: N801 - `Path` is that of files
    """The operations of a path."""

    parameters: tuple[Field, ...] = ()
    get: Route | None = None
    post: Route | None = None
    put: Route | None = None
    delete: Route | None = None


class Components(msgspec.Struct, frozen=True):
    """What operations refer to by name."""

    schemas: dict[str, Shape] = {}
    parameters: dict[str, Field] = {}


class Document(msgspec.Struct, frozen=True):
    """The whole document."""

    paths: dict[str, Path_]
    components: Components
    webhooks: dict[str, Path_] = {}


@cache
def document() -> Document:
    """Return the document."""
    sizes = read_sizes_file(Path(SIZES_FILE)).sizes
    settings = Settings(sizes=sizes)
    return msgspec.convert(api_document(build(settings), settings), Document)
