"""botocore's models, cut to the operations that the store calls; whole, they take 11 MB of memory.

They are read from the files of the installed botocore each time, so that an upgrade needs no other step. A file that
cannot be cut is loaded whole.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from botocore.loaders import JSONFileLoader

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS: Final = frozenset(
    {
        "CopyObject",
        "CreateSession",  # of botocore itself, for directory buckets
        "DeleteObject",
        "GetObject",
        "HeadBucket",  # of botocore itself, when it searches for the region of a bucket
        "HeadObject",
        "ListObjectVersions",
        "ListObjectsV2",
        "PutObject",
    }
)

SERVICES: Final = frozenset({"s3", "sts", "portal.sso", "oidc"})
"""The store, and the services from which botocore obtains credentials, by the names in `endpoints.json`."""


class _Service(msgspec.Struct):
    operations: dict[str, msgspec.Raw]
    shapes: dict[str, msgspec.Raw]


class _Partition(msgspec.Struct):
    services: dict[str, msgspec.Raw]


class _Endpoints(msgspec.Struct):
    partitions: list[_Partition]


class CutFileLoader(JSONFileLoader):  # type: ignore[misc] # it ships no types
    """A loader of data files that leaves out what the store does not call."""

    def load_file(self, file_path: str) -> object:
        """Return the content of a file, named without its extension, or None if there is none."""
        path = Path(file_path)
        try:
            if path.name == "endpoints":
                return _cut_endpoints(_read(path))
            if path.name == "service-2" and path.parent.parent.name == "s3":
                return _cut_service(_read(path))
        except (FileNotFoundError, msgspec.MsgspecError, KeyError):
            pass
        return super().load_file(file_path)


def _read(path: Path) -> bytes:
    plain = path.with_name(f"{path.name}.json")
    return (
        plain.read_bytes() if plain.is_file() else gzip.decompress(path.with_name(f"{path.name}.json.gz").read_bytes())
    )


def _cut_endpoints(encoded: bytes) -> dict[str, object]:
    told = msgspec.json.decode(encoded, type=_Endpoints)
    rest = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw])
    partitions = msgspec.json.decode(rest["partitions"], type=list[dict[str, msgspec.Raw]])
    return {
        **{name: _decoded(value) for name, value in rest.items() if name != "partitions"},
        "partitions": [
            {
                **{name: _decoded(value) for name, value in partition.items() if name != "services"},
                "services": {name: _decoded(value) for name, value in one.services.items() if name in SERVICES},
            }
            for partition, one in zip(partitions, told.partitions, strict=True)
        ],
    }


def _cut_service(encoded: bytes) -> dict[str, object]:
    told = msgspec.json.decode(encoded, type=_Service)
    rest = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw])
    operations = {name: _decoded(told.operations[name]) for name in sorted(OPERATIONS)}
    shapes: dict[str, object] = {}
    due = [*_shapes_in(operations)]
    while due:
        name = due.pop()
        if name not in shapes:
            shapes[name] = _decoded(told.shapes[name])
            due += _shapes_in(shapes[name])
    return {
        **{name: msgspec.json.decode(value) for name, value in rest.items() if name not in {"operations", "shapes"}},
        "operations": operations,
        "shapes": shapes,
    }


def _decoded(value: msgspec.Raw) -> object:
    return _without_documentation(msgspec.json.decode(value))


def _without_documentation(value: object) -> object:
    if isinstance(value, dict):
        return {
            name: _without_documentation(part)
            for name, part in value.items()
            if name != "documentation" or not isinstance(part, str)
        }
    return [_without_documentation(part) for part in value] if isinstance(value, list) else value


def _shapes_in(value: object) -> Iterator[str]:
    """Yield the names of the shapes to which a part of a model refers."""
    if isinstance(value, dict):
        if isinstance(name := value.get("shape"), str):
            yield name
        for part in value.values():
            yield from _shapes_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _shapes_in(part)
