"""Events of Amazon EventBridge, sent by an API destination.

Form: docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from proxy.intake.events.bucket_event import BucketEvent
from proxy.intake.events.forms.objects import KeyedObject, NamedBucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.intake.events.bucket_event import Change

_CHANGES: Final[Mapping[str, Change]] = {"Object Created": "created", "Object Deleted": "removed"}


class _Detail(msgspec.Struct, frozen=True):
    bucket: NamedBucket
    object: KeyedObject


class _Envelope(msgspec.Struct, frozen=True, rename="kebab"):
    detail_type: str
    detail: _Detail


def read_envelope(document: bytes) -> list[BucketEvent]:
    """Return the event, whose key is not encoded.

    Raises:
        msgspec.ValidationError: a field is missing, or is of another type.
    """
    envelope = msgspec.json.decode(document, type=_Envelope)
    change = _CHANGES.get(envelope.detail_type, "other")
    return [BucketEvent(bucket=envelope.detail.bucket.name, key=envelope.detail.object.key, change=change)]
