"""Events of Tigris.

Form: tigrisdata.com/docs/buckets/object-notifications; no example there has a key that would have to be encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from proxy.intake.events.bucket_event import BucketEvent
from proxy.intake.events.forms.objects import KeyedObject

if TYPE_CHECKING:
    from proxy.intake.events.bucket_event import Change


class _Listed(msgspec.Struct, frozen=True, rename="camel"):
    event_name: str
    bucket: str
    object: KeyedObject


class _Events(msgspec.Struct, frozen=True):
    events: list[_Listed]


def read_listed(document: bytes) -> list[BucketEvent]:
    """Return the events of a notification, whose keys are taken as they are.

    Raises:
        msgspec.ValidationError: an event lacks a field, or has one of another type.
    """
    listed = msgspec.json.decode(document, type=_Events).events
    return [BucketEvent(bucket=one.bucket, key=one.object.key, change=_change(one.event_name)) for one in listed]


def _change(name: str) -> Change:
    if name.startswith("OBJECT_CREATED"):
        return "created"
    return "removed" if name.startswith("OBJECT_DELETED") else "other"
