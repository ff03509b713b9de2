"""Validation of stored jobs: a row is checked as a whole before anything of it is used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from saq.job import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from saq.job import Job

MOST = 1 << 50
"""The maximum of every number: as milliseconds, it is the year 37,648. Python has no dates after the year 9999."""

Whole = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MOST)]

_NAMES = {status.value for status in Status}


class UnreadableJob(ValueError):
    """A stored job that cannot be read; the message has the reason."""


class _Fields(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of SAQ's `Job` as they are stored, with the values that this service can work with."""

    function: str
    key: str
    queue: str
    queued: Millis
    kwargs: dict[str, Any] | None = None
    timeout: Seconds = 0.0
    heartbeat: Seconds = 0.0
    retries: Whole = 0
    ttl: Annotated[float, msgspec.Meta(ge=-1, le=MOST)] = 0.0
    retry_delay: Seconds = 0.0
    retry_backoff: bool | Seconds = False
    scheduled: Seconds = 0.0
    progress: Seconds = 0.0
    attempts: Whole = 0
    completed: Millis = 0
    started: Millis = 0
    touched: Millis = 0
    result: Any = None
    error: str | None = None
    status: str = ""
    priority: int = 0
    group_key: str | None = None
    meta: dict[str, Any] = {}
    worker_id: str | None = None


def read_fields(body: str | bytes, *, key: str | None) -> dict[str, Any]:
    """Return the fields of a stored job; `key` is the one under which it is stored, if that is known.

    Raises:
        UnreadableJob: it is not JSON, has a field that is missing, unknown or of another type, or is another job's.
    """
    try:
        fields = _parsed(body if isinstance(body, bytes) else body.encode())  # raises for what was no UTF-8
        checked = msgspec.convert(fields, _Fields)
    except RecursionError as error:
        raise UnreadableJob("its JSON is nested too deeply") from error
    except ValueError as error:  # not JSON, not UTF-8, or a wrong field
        raise UnreadableJob(str(error)) from error
    if checked.status and checked.status not in _NAMES:
        raise UnreadableJob(f"its status {checked.status!r} is unknown")
    if key is not None and checked.key != key:
        raise UnreadableJob(f"it is stored under {key!r}, but has the key {checked.key!r}")
    found: dict[str, Any] = fields
    return found


def _parsed(body: bytes) -> Any:
    """Return what a JSON document holds, as `json` reads it, which writes jobs; msgspec takes a quarter of the time."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:  # msgspec knows neither NaN nor half a surrogate pair
        return json.loads(body)


def check_order(job: Job, checks: Mapping[str, Callable[[Job], object]]) -> None:
    """Raise unless one of `checks`, by the name of a function, accepts the arguments and the result of a job.

    Raises:
        UnreadableJob: no check has the name of the job's function, or its check refuses the job.
    """
    check = checks.get(job.function)
    if check is None:
        raise UnreadableJob(f"this version has no function {job.function!r}")
    try:
        check(job)
    except ValueError as error:
        raise UnreadableJob(str(error)) from error
