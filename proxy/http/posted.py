"""The JSON bodies of posts: read as a whole, and parsed with every fault named."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import msgspec
from litestar.exceptions import ClientException, InternalServerException, ValidationException

from proxy.http.malformed import explain
from proxy.http.validation_messages import located

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from litestar import Request
    from litestar.datastructures import State

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024

REQUIRED = "key"
"""The field that every post has: the key of an original."""


async def posted_body(request: Request[None, None, State]) -> bytes:
    """Return the body of a request.

    Raises:
        ClientException: the client left before its end.
    """
    try:
        return await request.body()
    except InternalServerException as disconnected:  # Litestar's error for a disconnected client; not our failure
        raise ClientException("The request body is incomplete; send it again.") from disconnected


def parse(body: bytes, kind: type[T], *, fields: Mapping[str, object], what: str) -> T:
    """Return the message in a body. `fields` has the fields that clients may post, with their types.

    Raises:
        ValidationException: the body is not valid. The error names every fault; in it, `what` stands for the message.
    """
    try:
        posted = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        names = Counter(name for name, _ in json.loads(body, object_pairs_hook=list, parse_int=str))
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        raise ValidationException(explain(body, fault)) from fault
    repeated = [f"{name}: must occur once, not {times} times" for name, times in names.items() if times > 1]
    if faults := [*repeated, *_faults(posted, fields, what)]:
        raise ValidationException(extra=faults)
    return msgspec.json.decode(body, type=kind)


def _faults(posted: Mapping[str, msgspec.Raw], fields: Mapping[str, object], what: str) -> Iterator[str]:
    """Yield every fault of a message; msgspec itself stops at the first."""
    unknown = (name for name in posted if name not in fields)
    yield from (f"{name}: unknown field; {what} has the fields {', '.join(fields)}" for name in unknown)
    for name, kind in fields.items():
        if name not in posted:
            if name == REQUIRED:
                yield f"{name}: is required; it is the key of the original"
            continue
        try:
            msgspec.json.decode(posted[name], type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            yield located(name, str(fault))
