"""Query parameters of the routes below `/v1`: unknown ones are refused, and a selection of jobs is parsed."""

from __future__ import annotations

import difflib
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypedDict
from urllib.parse import parse_qsl, urlencode

from litestar.exceptions import ValidationException
from litestar.params import QueryParameter

from proxy.jobs.listing import JobFilter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from litestar.connection import ASGIConnection
    from litestar.datastructures import State
    from litestar.handlers.base import BaseRouteHandler

    from proxy.jobs.job import Status

SHOWN_CHARACTERS = 64
"""How much of an unknown parameter's name an error repeats."""

LISTED, MAX_LISTED = 50, 100
"""How many jobs a page has: by default, and at most."""

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

AGE = r"^[0-9]{1,9}[smhd]$"
"""The format of an age, such as `90s`, `15m`, `2h` or `7d`."""

KeyParameter = Annotated[str | None, QueryParameter(min_length=1, description="Only jobs of this original.")]
StatusParameter = Annotated[
    Literal["queued", "processing", "done", "error"] | None, QueryParameter(description="Only jobs with this status.")
]
EndedParameter = Annotated[
    Literal["done", "error"] | None, QueryParameter(description="Only jobs that ended so; `error` if absent.")
]
CodeParameter = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        description="Only jobs that ended with this error code, or that wait for a retry because of it.",
    ),
]
OlderParameter = Annotated[
    str | None, QueryParameter(pattern=AGE, description="Only jobs queued at least that long ago, such as `2h`.")
]
NewerParameter = Annotated[
    str | None, QueryParameter(pattern=AGE, description="Only jobs queued at most that long ago, such as `15m`.")
]
LimitParameter = Annotated[
    int, QueryParameter(ge=1, le=MAX_LISTED, description="The maximum number of jobs on a page.")
]
CursorParameter = Annotated[
    str | None, QueryParameter(description="The `cursor` in the `next` URL of the previous page.")
]


PARAMETERS: Final = "parameters"
"""The option of a mount that has the query parameters of each method: it has no signature that would list them."""


def refuse_unknown_parameters(
    connection: ASGIConnection[object, object, object, State], handler: BaseRouteHandler
) -> None:
    """Refuse a request with a query parameter that its route does not have, or that occurs twice: a guard.

    Otherwise a misspelt filter would select every job.

    Raises:
        ValidationException: the request has such a parameter; every fault is listed.
    """
    query = connection.scope["query_string"]
    known = _parameters(handler) + handler.opt.get(PARAMETERS, {}).get(connection.scope.get("method"), ())
    if query and (faults := [*_faults(query.decode("latin-1"), known)]):
        raise ValidationException(extra=faults)


class Selected(TypedDict):
    """The query parameters that select jobs, as they were sent."""

    key: str | None
    status: Status | None
    code: str | None
    older_than: str | None
    newer_than: str | None


def selection(selected: Selected) -> JobFilter:
    """Return the filter that the query parameters of a route describe."""
    return JobFilter(
        key=selected["key"],
        status=selected["status"],
        code=selected["code"],
        older_than_seconds=_seconds(selected["older_than"]),
        newer_than_seconds=_seconds(selected["newer_than"]),
    )


def address(path: str, parameters: Mapping[str, object]) -> str:
    """Return a path with those parameters that are set."""
    return f"{path}?{urlencode({name: value for name, value in parameters.items() if value})}"


@lru_cache
def _parameters(handler: BaseRouteHandler) -> tuple[str, ...]:
    parameters = handler.parsed_fn_signature.parameters.items()
    return tuple(name for name, field in parameters if isinstance(field.kwarg_definition, QueryParameter))


def _faults(query: str, known: tuple[str, ...]) -> Iterator[str]:
    for name, times in Counter(name for name, _ in parse_qsl(query, keep_blank_values=True)).items():
        if name in known:
            if times > 1:
                yield f"{name}: must occur once, not {times} times"
            continue
        shown = name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}…"
        nearest = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {nearest[0]}?" if nearest else "."
        yield f"{shown}: unknown parameter{meant} {_known(known)}"


def _known(known: tuple[str, ...]) -> str:
    return f"This route has the parameters {', '.join(known)}." if known else "This route has no parameters."


def _seconds(age: str | None) -> float | None:
    return None if age is None else int(age[:-1]) * UNIT_SECONDS[age[-1]]
