"""Events of the filer of SeaweedFS (`notification.webhook`), which are about files below `/buckets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from proxy.intake.events.bucket_event import BucketEvent

if TYPE_CHECKING:
    from proxy.intake.events.bucket_event import Change

BUCKETS: Final = "/buckets/"
"""The folder of all buckets."""


class _Entry(msgspec.Struct, frozen=True):
    name: str = ""
    is_directory: bool = False


class _Message(msgspec.Struct, frozen=True):
    old_entry: _Entry | None = None
    new_entry: _Entry | None = None
    new_parent_path: str = ""


class _FileEvent(msgspec.Struct, frozen=True):
    event_type: Literal["create", "update", "delete", "rename"]
    key: str
    message: _Message


def read_file_event(document: bytes) -> list[BucketEvent]:
    """Return the events of a change: that of the former path, and that of the new one; keys are not encoded.

    Raises:
        msgspec.ValidationError: a field is missing, or is of another type.
    """
    sent = msgspec.json.decode(document, type=_FileEvent)
    old, new = sent.message.old_entry, sent.message.new_entry
    if sent.event_type in ("create", "update"):
        return [_event(sent.key, new, "created")]
    removal = _event(sent.key, old, "removed")  # of the former path, if this is a rename
    if sent.event_type == "delete" or new is None:
        return [removal]
    return [removal, _event(f"{sent.message.new_parent_path}/{new.name}", new, "created")]


def _event(path: str, entry: _Entry | None, change: Change) -> BucketEvent:
    """Return the event of a file; outside of `/buckets`, it is of no bucket."""
    is_folder = entry is not None and entry.is_directory
    bucket, _, key = path.removeprefix(BUCKETS).partition("/") if path.startswith(BUCKETS) else ("", "", path)
    return BucketEvent(bucket=bucket, key=key, change="other" if is_folder else change)
