"""The forms of events, as servers send them and as their documents describe them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.errors import BadEvent
from proxy.intake.events.bucket_event import BucketEvent, Change
from proxy.intake.events.forms.reading import MAX_EVENTS, read_events, split_documents

KEY = "gall/7/a b+c%é_original.jpg"
ENCODED = "gall%2F7%2Fa+b%2Bc%25%C3%A9_original.jpg"


def read(body: object) -> list[BucketEvent]:
    return read_events(split_documents(msgspec.json.encode(body)))


def record(name: str, key: str = ENCODED, *, source: str = "aws:s3", **of_object: object) -> dict[str, Any]:
    """Return a record as Amazon describes it, with fields that only some servers send."""
    return {
        "eventVersion": "2.1",
        "eventSource": source,
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-29T05:24:03.816Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "to-images",
            "bucket": {"name": "galls", "ownerIdentity": {"principalId": "A"}, "arn": "arn:aws:s3:::galls"},
            "object": {"key": key, "sequencer": "18EC6CAD7E2485B3", **of_object},
        },
    }


def entry(name: str, **attributes: object) -> dict[str, Any]:
    """Return a file as the filer of SeaweedFS describes it."""
    return {"name": name, "chunks": [], "attributes": {"file_size": 336, "mime": "image/jpeg"}, **attributes}


def filer(kind: str, path: str, **message: object) -> dict[str, Any]:
    return {"event_type": kind, "key": path, "message": {**message, "signatures": [1]}}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ObjectCreated:Put", "created"),
        ("ObjectCreated:CompleteMultipartUpload", "created"),
        ("ObjectCreated:Copy", "created"),
        ("ObjectCreated:Post", "created"),
        ("ObjectRemoved:Delete", "removed"),
        ("ObjectRemoved:DeleteMarkerCreated", "removed"),
        ("LifecycleExpiration:Delete", "removed"),
        ("ObjectLifecycle:Expiration:Current", "removed"),
        ("ObjectTagging:Put", "other"),
        ("ObjectRestore:Completed", "other"),
        ("ObjectAccessed:Get", "other"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "s3:"])
def test_the_name_of_a_record_says_what_happened(prefix: str, name: str, change: Change) -> None:
    body = {"Records": [record(prefix + name, size=1, eTag="e")]}
    assert read(body) == [BucketEvent(bucket="galls", key=KEY, change=change)]


def test_minio_adds_fields_beside_its_one_record() -> None:
    one = record("s3:ObjectRemoved:Delete", source="minio:s3")
    body = {"EventName": "s3:ObjectRemoved:Delete", "Key": f"galls/{KEY}", "Records": [one]}
    assert read(body) == [BucketEvent(bucket="galls", key=KEY, change="removed")]


def test_ceph_does_not_encode_keys_and_writes_sizes_as_text() -> None:
    body = {"Records": [record("ObjectCreated:Put", "a+b%20_original.jpg", source="ceph:s3", size="12")]}
    assert [event.key for event in read(body)] == ["a+b%20_original.jpg"]


def test_a_key_that_is_not_percent_encoded_is_taken_as_it_is() -> None:
    assert [event.key for event in read({"Records": [record("ObjectCreated:Put", "100%_original.jpg")]})] == [
        "100%_original.jpg"
    ]


@pytest.mark.parametrize(("kind", "change"), [("Object Created", "created"), ("Object Deleted", "removed")])
def test_eventbridge_does_not_encode_keys(kind: str, change: Change) -> None:
    body = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-29T05:24:03Z",
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::galls"],
        "detail": {
            "version": "0",
            "bucket": {"name": "galls"},
            "object": {"key": KEY, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "00617F"},
            "request-id": "N4N7GDK58NMKJ12R",
            "reason": "PutObject",
        },
    }
    assert read(body) == [BucketEvent(bucket="galls", key=KEY, change=change)]
    assert [event.change for event in read({**body, "detail-type": "Object Tags Added"})] == ["other"]


@pytest.mark.parametrize(("kind", "change"), [("create", "created"), ("update", "created"), ("delete", "removed")])
def test_the_filer_names_paths_below_its_buckets(kind: str, change: Change) -> None:
    files = {"old_entry": entry("x")} if kind == "delete" else {"new_entry": entry("x")}
    assert read(filer(kind, f"/buckets/galls/{KEY}", **files)) == [BucketEvent(bucket="galls", key=KEY, change=change)]


def test_a_rename_in_the_filer_removes_the_former_path_and_creates_the_new_one() -> None:
    body = filer(
        "rename",
        "/buckets/galls/gall/7/1_original.jpg",
        old_entry=entry("1_original.jpg"),
        new_entry=entry("2_original.jpg"),
        new_parent_path="/buckets/other/gall/8",
    )
    assert read(body) == [
        BucketEvent(bucket="galls", key="gall/7/1_original.jpg", change="removed"),
        BucketEvent(bucket="other", key="gall/8/2_original.jpg", change="created"),
    ]


@pytest.mark.parametrize("kind", ["create", "update", "delete", "rename"])
def test_folders_of_the_filer_do_not_matter(kind: str) -> None:
    folder = entry("gall", is_directory=True)
    body = filer(kind, "/buckets/galls/gall", old_entry=folder, new_entry=folder, new_parent_path="/buckets/galls")
    assert {event.change for event in read(body)} == {"other"}


@pytest.mark.parametrize("path", ["/buckets", "/", "/topics/log", "buckets/galls/x", "/buckets/"])
def test_a_path_outside_of_the_buckets_of_the_filer_is_of_no_bucket(path: str) -> None:
    assert [event.bucket for event in read(filer("create", path, new_entry=entry("x")))] == [""]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("OBJECT_CREATED_PUT", "created"),
        ("OBJECT_DELETED", "removed"),
        ("OBJECT_RESTORED", "other"),
    ],
)
def test_tigris_lists_events(name: str, change: Change) -> None:
    one = {
        "eventVersion": "1",
        "eventSource": "tigris",
        "eventName": name,
        "eventTime": "2026-11-29T05:24:03Z",
        "bucket": "galls",
        "object": {"key": KEY, "size": 5, "eTag": "e"},
    }
    assert read({"events": [one, one]}) == [BucketEvent(bucket="galls", key=KEY, change=change)] * 2


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("PutObject", "created"),
        ("CopyObject", "created"),
        ("CompleteMultipartUpload", "created"),
        ("DeleteObject", "removed"),
        ("LifecycleDeletion", "removed"),
        ("AbortMultipartUpload", "other"),
    ],
)
def test_a_relay_hands_on_one_message_of_cloudflares_queue_or_a_list(action: str, change: Change) -> None:
    message = {
        "account": "3f4b7e3dcab231cbfdaa90a6a28bd548",
        "action": action,
        "bucket": "galls",
        "object": {"key": KEY, "size": 5, "eTag": "e"},
        "eventTime": "2026-11-29T05:24:03.816Z",
    }
    expected = BucketEvent(bucket="galls", key=KEY, change=change)
    assert read(message) == [expected]
    assert read([message, message]) == [expected, expected]


def test_amazons_test_event_is_about_no_object() -> None:
    assert read({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "galls", "RequestId": "x"}) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"7",
        b'"text"',
        b"{}",
        b'{"Event": "s3:Other"}',
        b'{"Records": null}',
        b'{"Records": [{}]}',
        b'{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": 1}, "object": {"key": "a"}}}]}',
        b'{"event_type": "create", "key": "/buckets/a/b"}',
        b'{"event_type": "chmod", "key": "/buckets/a/b", "message": {}}',
        b'{"detail-type": "Object Created", "detail": {}}',
        b'{"events": [{"eventName": "OBJECT_CREATED_PUT"}]}',
        b'{"action": "PutObject", "bucket": {"name": "a"}, "object": {"key": "b"}}',
        b"[1]",
        b"[",
        b'{"Records": "\xff"}',
        b"[" * 100_000,
        b'{"Records":' + b"[" * 100_000,
    ],
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(BadEvent, match="The body is not"):
        read_events(split_documents(body))


def test_a_body_has_a_bounded_number_of_events() -> None:
    many = {"Records": [record("ObjectCreated:Put")] * MAX_EVENTS}
    assert len(read(many)) == MAX_EVENTS
    too_many: list[list[dict[str, Any]]] = [[many, many], [{}] * (MAX_EVENTS + 1)]
    for more in too_many:
        with pytest.raises(BadEvent, match=f"at most {MAX_EVENTS}"):
            read(more)
