"""The table of problem types."""

from __future__ import annotations

import inspect
from http import HTTPStatus
from typing import TYPE_CHECKING

import pipeline.errors
import proxy.errors
from proxy.errors import Busy, ImagesError
from proxy.http.problems import DETAILS_BY_STATUS, INVALID_REQUEST, ROWS, ProblemRow
from proxy.http.protocol import rejections
from tests.documents.reference.tables import code, prose, table

if TYPE_CHECKING:
    from collections.abc import Iterator


def problems_table(_: str) -> str:
    """Return every problem type that a response can have, with its status, its meaning and whether to retry."""
    rows: dict[str, list[str]] = {}
    for row in (*_answers(), *_framework_errors(), *_rejections()):
        rows.setdefault(row[0], row)
    return table(["type", "status", "title", "meaning", "retry"], [rows[name] for name in sorted(rows)])


def _answers() -> Iterator[list[str]]:
    """Yield the errors that have a status of their own; others are `internal`."""
    seen = set()
    for module in (proxy.errors, pipeline.errors):
        for _, error in inspect.getmembers(module, inspect.isclass):
            row = next((kind for kind in ROWS if issubclass(error, kind)), ImagesError)
            name = getattr(error, "code", "")
            if row is not ImagesError and "code" in vars(error) and name not in seen:
                seen.add(name)
                yield _line(name, ROWS[row], inspect.getdoc(error) or "", can_retry=error is Busy)


def _line(name: str, row: ProblemRow, meaning: str, *, can_retry: bool) -> list[str]:
    seconds = row.retry_after_seconds
    retry = f"after {seconds} s" if seconds else "as `Retry-After` states" if can_retry else "no"
    return [code(f"/problems/{name}"), str(row.status), row.title, prose(meaning.splitlines()[0]), retry]


def _framework_errors() -> Iterator[list[str]]:
    """Yield what the framework refuses before a route's own code runs, and what is no error of ours."""
    for status, detail in {400: INVALID_REQUEST, **DETAILS_BY_STATUS}.items():
        title = HTTPStatus(status).phrase.capitalize()
        yield [code(f"/problems/{'-'.join(title.lower().split())}"), str(status), title, prose(detail), "no"]
    meaning = "An unexpected error: report it to the operator with the `request_id` of the response."
    yield [code("/problems/internal"), "500", "Internal error", meaning, "no"]


def _rejections() -> Iterator[list[str]]:
    """Yield what a connection refuses before any route sees the request."""
    for one in vars(rejections).values():
        if isinstance(one, rejections.Rejection):
            yield [code(f"/problems/{one.reason}"), str(one.status.value), one.title, one.detail, "no"]
