"""Conversion of S3 responses to blobs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict, cast

from botocore.utils import parse_timestamp

from proxy.errors import StoreUnavailable
from proxy.stores.base import NULL_VERSION, UNKNOWN_TYPE, Blob, BlobVersion
from proxy.stores.headers import bare, md5s_in, stored_attributes, unescaped
from proxy.stores.ranges import cut, parse_content_range
from proxy.stores.s3.errors import s3_errors
from proxy.stores.transfer import verified

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aiobotocore.response import StreamingBody

    from proxy.stores.ranges import ByteRange

CHUNK_BYTES: Final = 256 * 1024


class S3Response(TypedDict, total=False):
    """The fields that are read from a response about one object; any of them may be missing."""

    Key: str
    Size: int
    ETag: str
    LastModified: datetime
    ContentLength: int
    ContentRange: str
    ContentType: str
    CacheControl: str
    Metadata: dict[str, str]
    ServerSideEncryption: str
    SSECustomerAlgorithm: str
    Body: StreamingBody
    ResponseMetadata: dict[str, dict[str, str]]


class S3Page(TypedDict, total=False):
    """The fields that are read from a page of a listing; any of them may be missing."""

    Contents: list[S3Response]
    IsTruncated: bool
    NextContinuationToken: str


class S3Version(TypedDict, total=False):
    """The fields that are read from a version, or the marker of a deletion, in a listing."""

    Key: str
    VersionId: str
    Size: int


class S3Versions(TypedDict, total=False):
    """The fields that are read from a page of versions; any of them may be missing."""

    Versions: list[S3Version]
    DeleteMarkers: list[S3Version]
    IsTruncated: bool
    NextKeyMarker: str
    NextVersionIdMarker: str


def versions_in(page: S3Versions) -> Iterator[BlobVersion]:
    """Yield the versions on a page, and the markers of deletions; one without an id is the only version of its key."""
    for is_marker, entries in ((False, page.get("Versions", [])), (True, page.get("DeleteMarkers", []))):
        for told in entries:
            yield BlobVersion(
                key=told.get("Key", ""),
                version=told.get("VersionId", NULL_VERSION),
                bytes=told.get("Size", 0),
                is_marker=is_marker,
            )


def blob_of(key: str, answer: S3Response) -> Blob:
    """Return the blob under `key` that a response describes.

    Raises:
        StoreUnavailable: the response lacks a field that S3 always sends.
    """
    content_range = parse_content_range(answer.get("ContentRange", ""))
    try:
        return Blob(
            key=key,
            bytes=content_range.whole if content_range else answer["ContentLength"],
            etag=bare(answer["ETag"]),
            modified=answer["LastModified"].replace(microsecond=0),  # listings may have them, HTTP dates do not
            attributes=stored_attributes(
                answer.get("ContentType", UNKNOWN_TYPE),
                answer.get("CacheControl"),
                unescaped(answer.get("Metadata", {})),
            ),
        )
    except KeyError as lacking:
        raise StoreUnavailable(f"The store's response lacks {lacking}.") from None


def listed(told: S3Response) -> Blob:
    """Return the blob that an entry of a listing describes.

    A field that is missing does not end the listing: only `head` guarantees them.
    """
    whole: S3Response = {"ETag": "", "LastModified": datetime.now(UTC), **told, "ContentLength": told.get("Size", 0)}
    return blob_of(told.get("Key", ""), whole)


def lenient_timestamp(value: object) -> datetime:
    """Return the time that botocore reads from `value`, or the current time: one bad date must not end a listing."""
    try:
        return cast("datetime", parse_timestamp(value))
    except (ValueError, OverflowError, RuntimeError):
        return datetime.now(UTC)


def is_chunked(answer: S3Response) -> bool:
    """Return whether a response has a body in chunks, whose end is marked, instead of a length."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return "ContentLength" not in answer and headers.get("transfer-encoding", "").strip().lower() == "chunked"


def body_of(answer: S3Response, bucket: str, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
    """Return the body of a response in chunks, verified by its length and, for a whole blob, by its ETag.

    `bucket` names the bucket in error messages.

    Raises:
        Changed: the response is of another blob than `byte_range`.
    """
    content_range = parse_content_range(answer.get("ContentRange", ""))
    # With KMS keys or customer keys, S3's ETag looks like an MD5 but is not.
    encrypted = answer.get("ServerSideEncryption", "").startswith("aws:kms") or "SSECustomerAlgorithm" in answer
    md5s = () if encrypted or content_range else md5s_in(answer["ETag"])
    announced_bytes = None if is_chunked(answer) else answer["ContentLength"]
    body = verified(_chunks(answer["Body"], bucket), announced_bytes=announced_bytes, md5s=md5s)
    if byte_range is None:
        return body
    byte_range.check(bare(answer["ETag"]))
    return cut(body, byte_range, content_range)


async def _chunks(body: StreamingBody, bucket: str) -> AsyncIterator[bytes]:
    with s3_errors(bucket):
        while chunk := await body.read(CHUNK_BYTES):
            yield chunk
