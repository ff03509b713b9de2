"""Events in a list of `Records`: of Amazon S3, MinIO and Ceph.

Form: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from proxy.errors import BadKey
from proxy.intake.events.bucket_event import BucketEvent
from proxy.intake.events.forms.objects import KeyedObject, NamedBucket
from proxy.keys.syntax import decode_path

if TYPE_CHECKING:
    from proxy.intake.events.bucket_event import Change

CEPH: Final = "ceph:"
"""How the `eventSource` of Ceph begins; the others percent-encode keys."""

_CHANGES: Final[tuple[tuple[str, Change], ...]] = (
    ("ObjectCreated:", "created"),
    ("ObjectRemoved:", "removed"),
    ("LifecycleExpiration:", "removed"),
    ("ObjectLifecycle:Expiration:", "removed"),  # Ceph's name for it
)
"""How the names of events begin, without `s3:`, which not every server writes."""


class _Located(msgspec.Struct, frozen=True):
    bucket: NamedBucket
    object: KeyedObject


class _S3Record(msgspec.Struct, frozen=True, rename="camel"):
    event_name: str
    s3: _Located
    event_source: str = ""


class _Notification(msgspec.Struct, frozen=True, rename="pascal"):
    records: list[_S3Record]


def read_records(document: bytes) -> list[BucketEvent]:
    """Return the events of a notification.

    Raises:
        msgspec.ValidationError: a record lacks a field, or has one of another type.
    """
    return [_event(record) for record in msgspec.json.decode(document, type=_Notification).records]


def _event(record: _S3Record) -> BucketEvent:
    is_encoded = not record.event_source.startswith(CEPH)
    key = _decoded(record.s3.object.key) if is_encoded else record.s3.object.key
    return BucketEvent(bucket=record.s3.bucket.name, key=key, change=_change(record.event_name.removeprefix("s3:")))


def _decoded(key: str) -> str:
    """Return a key without its percent-encoding, where a space is `+`."""
    try:
        return decode_path(key.replace("+", " ").encode())
    except BadKey:  # so the server did not encode it
        return key


def _change(name: str) -> Change:
    return next((change for begin, change in _CHANGES if name.startswith(begin)), "other")
