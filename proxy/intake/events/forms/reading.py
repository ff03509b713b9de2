"""Reads the body of a request: each form has a field that no other form has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from proxy.errors import BadEvent
from proxy.intake.events.forms.eventbridge import read_envelope
from proxy.intake.events.forms.filer import read_file_event
from proxy.intake.events.forms.r2 import read_queue_message
from proxy.intake.events.forms.records import read_records
from proxy.intake.events.forms.tigris import read_listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxy.intake.events.bucket_event import BucketEvent

MAX_EVENTS: Final = 100
"""The most events of one request, as many as a batch of a Cloudflare queue has; others send one, or ten."""

TEST_EVENT: Final = "s3:TestEvent"
"""What Amazon S3 sends once, when a notification is configured; it is about no object."""

_FORMS: Final[Mapping[str, Callable[[bytes], list[BucketEvent]]]] = {
    "Records": read_records,
    "detail-type": read_envelope,
    "event_type": read_file_event,
    "events": read_listed,
    "action": read_queue_message,
}
"""A field that only this form has, and what reads it."""

_KNOWN: Final = (
    "Amazon S3 (also by SNS or EventBridge), MinIO, Ceph, the filer of SeaweedFS, Tigris and Cloudflare R2; see "
    "docs/events.md"
)


class _TestEvent(msgspec.Struct, frozen=True, rename="pascal"):
    event: str = ""


def split_documents(body: bytes) -> Sequence[bytes]:
    """Return the documents of a body: its one JSON object, or those of its list.

    Raises:
        BadEvent: the body is not JSON, or the list is too long.
    """
    if not body.lstrip().startswith(b"["):
        return [body]
    try:
        listed = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadEvent(f"The body is not valid JSON: {fault}.") from fault
    _check_count(len(listed))
    return [bytes(one) for one in listed]


def read_events(documents: Sequence[bytes]) -> list[BucketEvent]:
    """Return the events of documents, in order.

    Raises:
        BadEvent: a document is no event of a known form, or there are too many.
    """
    events = [event for document in documents for event in _read(document)]
    _check_count(len(events))
    return events


def _read(document: bytes) -> list[BucketEvent]:
    try:
        names = msgspec.json.decode(document, type=dict[str, msgspec.Raw]).keys()
        if read := next((_FORMS[name] for name in _FORMS if name in names), None):
            return read(document)
        is_test = msgspec.json.decode(document, type=_TestEvent).event == TEST_EVENT
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadEvent(f"The body is not an event of a bucket: {fault}. Read are the forms of {_KNOWN}.") from fault
    if is_test:
        return []
    raise BadEvent(f"The body is not an event of a bucket. Read are the forms of {_KNOWN}.")


def _check_count(count: int) -> None:
    if count > MAX_EVENTS:
        raise BadEvent(f"The body has {count} events; send at most {MAX_EVENTS} at once.")
