"""Events of Cloudflare R2, which a consumer of their queue relays.

Form: developers.cloudflare.com/r2/buckets/event-notifications
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from proxy.intake.events.bucket_event import BucketEvent
from proxy.intake.events.forms.objects import KeyedObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.intake.events.bucket_event import Change

_CHANGES: Final[Mapping[str, Change]] = {
    "PutObject": "created",
    "CopyObject": "created",
    "CompleteMultipartUpload": "created",
    "DeleteObject": "removed",
    "LifecycleDeletion": "removed",
}


class _QueueMessage(msgspec.Struct, frozen=True):
    action: str
    bucket: str
    object: KeyedObject


def read_queue_message(document: bytes) -> list[BucketEvent]:
    """Return the event, whose key is not encoded.

    Raises:
        msgspec.ValidationError: a field is missing, or is of another type.
    """
    sent = msgspec.json.decode(document, type=_QueueMessage)
    return [BucketEvent(bucket=sent.bucket, key=sent.object.key, change=_CHANGES.get(sent.action, "other"))]
