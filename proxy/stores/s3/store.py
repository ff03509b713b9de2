"""A store in a bucket of S3 or a compatible server."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
from aiobotocore.session import get_session
from anyio.to_thread import run_sync
from botocore.exceptions import NoCredentialsError
from botocore.handlers import add_expect_header

from proxy.errors import NotFound, PermissionMissing, StoreDenied, StoreRefused, StoreUnavailable
from proxy.stores.base import NO_VERSION, UNKNOWN_LENGTH, Attributes, Blob, BlobVersion, check_length
from proxy.stores.headers import escaped
from proxy.stores.ranges import Changed
from proxy.stores.retry import StoreRetryPolicy, with_retries
from proxy.stores.s3.config import AUTO_ACL, PUBLIC_ACL, client_options
from proxy.stores.s3.credentials import RenewableCredentials, provide
from proxy.stores.s3.errors import AclRefused, CredentialsRefused, Precluded, s3_errors
from proxy.stores.s3.models import CutFileLoader
from proxy.stores.s3.responses import (
    S3Page,
    S3Response,
    S3Versions,
    blob_of,
    body_of,
    is_chunked,
    lenient_timestamp,
    listed,
    versions_in,
)
from proxy.stores.s3.session import closed_on_error
from proxy.stores.transfer import bounded, check_bytes, save

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from botocore.credentials import ReadOnlyCredentials

    from proxy.stores.ranges import ByteRange
    from proxy.stores.retry import Attempt
    from proxy.stores.s3.config import BucketConfig, Credentials

log = structlog.get_logger(__name__)

T = TypeVar("T")

SEEN_SECONDS: Final = 60.0
"""How long the bucket is assumed to exist after a response; during this time a 404 to a HEAD proves a miss."""


class S3Store:
    """A store that keeps blobs as objects of one bucket, with one client from `start` to `close`."""

    def __init__(
        self, bucket: BucketConfig, credentials: Credentials | None = None, retry_policy: StoreRetryPolicy | None = None
    ) -> None:
        self._bucket = bucket
        self._is_acl_known = bucket.acl != AUTO_ACL
        self._acl = bucket.acl if self._is_acl_known else PUBLIC_ACL
        self._credentials = credentials
        self._retry_policy = retry_policy or StoreRetryPolicy()
        self._shown = f"bucket {bucket.name} at {bucket.endpoint_url or 'Amazon S3'}"
        self._renewable: RenewableCredentials | None = None
        """None if the credentials were given."""
        self._seen_until = 0.0
        self._held = AsyncExitStack()

    async def start(self) -> None:
        """Create the client, without a request to the bucket.

        If no credentials are given, botocore may request them from the machine.

        Raises:
            StoreError: no credentials were found, or the bucket's address is invalid. A client that is created without
                credentials never gets any.
        """
        session = get_session()
        session.get_component("data_loader").file_loader = CutFileLoader()
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=lenient_timestamp)
        with s3_errors(self._shown):
            if not self._credentials:
                self._renewable = await RenewableCredentials.create()
                if not self._renewable:
                    raise NoCredentialsError
                provide(session, self._renewable)
            try:
                made = session.create_client("s3", **client_options(self._bucket, self._credentials))
                self._client = await self._held.enter_async_context(made)
            except ValueError as error:
                raise StoreRefused(
                    f"The {self._shown} has an invalid address: {error}; check S3_ENDPOINT_URL."
                ) from error
        # The endpoint may also come from the environment or from botocore's configuration files.
        self._shown = f"bucket {self._bucket.name} at {self._client.meta.endpoint_url}"
        # The Expect header costs a round trip for every put, and no timeout limits the wait for the response.
        self._client.meta.events.unregister("before-call.s3", add_expect_header)
        # Only botocore's search for the bucket's region sends a HeadBucket. A server that redirects every request
        # makes that search endless.
        self._client.meta.events.register("before-call.s3.HeadBucket", _refuse_search)

    async def close(self) -> None:
        """Close the client and its connections."""
        await self._held.aclose()

    async def check(self) -> None:
        """Raise if the bucket cannot be used with these credentials; they need no permission to list."""
        try:
            await self._call_with_retries(self._client.list_objects_v2, MaxKeys=1)
        except StoreDenied:
            return
        except NotFound as error:
            raise StoreRefused(f"The {self._shown} does not exist: check S3_ENDPOINT_URL and STORE.") from error

    async def head(self, key: str) -> Blob | None:
        """Return the blob under `key`, or None; see `Store.head`."""
        try:
            answer: S3Response = await self._call_with_retries(self._client.head_object, Key=key)
            blob = blob_of(key, {"ContentLength": UNKNOWN_LENGTH, **answer})
        except NotFound:
            return None if time.monotonic() < self._seen_until else await self._head_by_get(key)
        except StoreRefused:
            return await self._head_by_get(key)
        self._seen_until = time.monotonic() + SEEN_SECONDS
        return blob

    async def _head_by_get(self, key: str) -> Blob | None:
        """Return the blob under `key`, or None, with a GET request.

        The response to a HEAD has no body, so it shows neither the reason of an error nor that the bucket is missing.
        """
        try:
            async with self.open(key) as (blob, _):
                return blob
        except NotFound:
            self._seen_until = time.monotonic() + SEEN_SECONDS
            return None

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Download a blob to the local file `path`; see `Store.fetch`."""

        async def ask(attempt: Attempt) -> Blob:
            answer: S3Response = await self._call(self._client.get_object, Key=key)
            with closing(answer["Body"]):
                if is_chunked(answer):
                    attempt.move(max_bytes)
                    arrived = await save(bounded(body_of(answer, self._shown), max_bytes), path)
                    return blob_of(key, {**answer, "ContentLength": arrived})
                blob = blob_of(key, answer)
                check_bytes(blob, max_bytes)
                attempt.move(blob.bytes)
                await save(body_of(answer, self._shown), path)
            return blob

        return await with_retries(ask, self._retry_policy, whom=self._shown)

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        """Yield a blob and its bytes in chunks; see `Store.open`."""
        asked = {"Range": byte_range.range, "IfMatch": f'"{byte_range.etag}"'} if byte_range else {}
        try:
            answer = await self._call_with_retries(self._client.get_object, Key=key, **asked)
        except Precluded as error:
            if byte_range is None:
                raise
            raise Changed("The blob was replaced while it was read; retry the request.") from error
        # Closing a partly read body closes its connection; an open one would never return to the pool.
        with closing(answer["Body"]):
            yield blob_of(key, answer), body_of(answer, self._shown, byte_range)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Store the file `path` under `key`; see `Store.put`."""
        return await self._put(key, path, self._headers(attributes), attributes)

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """Store the file `path` unless `key` exists; see `Store.put_new`."""
        try:
            return await self._put(key, path, {"IfNoneMatch": "*", **self._headers(attributes)}, attributes)
        except Precluded:
            # SeaweedFS returns this for an empty folder too, which remains when the blobs below it are deleted.
            return None if await self._exists(key) else await self.put(key, path, attributes)

    async def _exists(self, key: str) -> bool:
        try:
            return await self.head(key) is not None
        except Precluded:
            raise
        except StoreRefused:
            return True  # write-only credentials cannot check the key, so the 412 is trusted; a 403 may have no reason

    async def copy(self, source: str, target: str) -> Blob:
        """Copy a blob from `source` to `target`; see `Store.copy`."""
        check_length(target)

        async def ask(acl: dict[str, str]) -> None:
            whence = {"Bucket": self._bucket.name, "Key": source}
            await self._call_with_retries(self._client.copy_object, Key=target, CopySource=whence, **acl)

        await self._with_acl(ask)
        if blob := await self.head(target):
            return blob
        raise StoreUnavailable("The copy was deleted right after it was written; retry the request.")

    async def delete(self, key: str) -> None:
        """Delete the blob under `key`; see `Store.delete`."""
        try:
            await self._call_with_retries(self._client.delete_object, Key=key)
        except NotFound:
            return  # Amazon S3 does not report a missing key, some other servers do
        except StoreDenied:
            raise StoreDenied(
                "The store's credentials may not delete: the bucket's policy must allow s3:DeleteObject."
            ) from None

    async def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        """Yield the blobs under `prefix`; see `Store.list`. Their attributes are empty."""
        page = {"StartAfter": after} if after else {}
        while True:
            answer = await self._get_page(Prefix=prefix, **page)
            for told in answer.get("Contents", []):
                yield listed(told)
            if not answer.get("IsTruncated"):
                return
            if "NextContinuationToken" not in answer:
                raise StoreUnavailable(
                    f"The {self._shown} returned an incomplete listing without a continuation token."
                )
            page = {"ContinuationToken": answer["NextContinuationToken"]}

    async def versions(self, prefix: str) -> AsyncIterator[BlobVersion]:
        """Yield all versions under `prefix`; see `Store.versions`. Some servers cannot list them: they keep none."""
        page: dict[str, str] = {}
        while True:
            try:
                answer: S3Versions = await self._call_with_retries(
                    self._client.list_object_versions, Prefix=prefix, **page
                )
            except StoreDenied:
                raise PermissionMissing("s3:ListBucketVersions") from None
            except AclRefused:  # NotImplemented
                async for blob in self.list(prefix):
                    yield BlobVersion(key=blob.key, version=NO_VERSION, bytes=blob.bytes)
                return
            for one in versions_in(answer):
                yield one
            if not answer.get("IsTruncated"):
                return
            if "NextKeyMarker" not in answer:
                raise StoreUnavailable(
                    f"The {self._shown} returned an incomplete listing of versions without a marker."
                )
            page = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer.get("NextVersionIdMarker", "")}

    async def delete_version(self, key: str, version: str) -> None:
        """Delete a version of a blob; see `Store.delete_version`."""
        if version == NO_VERSION:
            return await self.delete(key)
        try:
            await self._call_with_retries(self._client.delete_object, Key=key, VersionId=version)
        except NotFound:
            return None
        except StoreDenied:
            raise PermissionMissing("s3:DeleteObjectVersion") from None

    async def _get_page(self, **page: str) -> S3Page:
        try:
            return await self._call_with_retries(self._client.list_objects_v2, **page)
        except StoreDenied:
            raise StoreDenied(
                "The store's credentials may not list: the bucket's policy must allow s3:ListBucket."
            ) from None
        except NotFound as error:
            raise StoreRefused(f"The {self._shown} does not exist: check S3_ENDPOINT_URL and STORE.") from error

    async def _call_with_retries(self, operation: Callable[..., Awaitable[T]], **parameters: object) -> T:
        async def ask(_attempt: Attempt) -> T:
            return await self._call(operation, **parameters)

        return await with_retries(ask, self._retry_policy, whom=self._shown)

    async def _call(self, operation: Callable[..., Awaitable[T]], **parameters: object) -> T:
        used = await self._renewable.get_frozen_credentials() if self._renewable else None
        try:
            with s3_errors(self._shown), closed_on_error():
                return await operation(Bucket=self._bucket.name, **parameters)
        except StoreRefused as refused:
            self._seen_until = 0.0  # the bucket may be gone: a HEAD does not show the difference to a missing key
            if isinstance(refused, CredentialsRefused) and used and await self._renew(used):
                raise StoreUnavailable(f"{refused} Other credentials were found, so it is retried.") from refused
            raise

    async def _renew(self, refused: ReadOnlyCredentials) -> bool:
        return self._renewable is not None and await self._renewable.renew(refused)

    def _headers(self, attributes: Attributes) -> dict[str, object]:
        headers = {
            "ContentType": attributes.content_type,
            "CacheControl": attributes.cache_control,
            "Metadata": escaped(attributes.metadata),
        }
        return {name: value for name, value in headers.items() if value}

    async def _put(self, key: str, path: Path, headers: dict[str, object], attributes: Attributes) -> Blob:
        check_length(key)
        size, md5 = await run_sync(_measured, path)
        fixed = {"Key": key, "ContentMD5": base64.b64encode(md5).decode(), **headers}

        async def write(acl: dict[str, str]) -> S3Response:
            async def ask(attempt: Attempt) -> S3Response:
                attempt.move(size)
                with path.open("rb") as file:
                    return await self._call(self._client.put_object, Body=file, **fixed, **acl)

            return await with_retries(ask, self._retry_policy, whom=self._shown)

        try:
            answer = await (self._with_acl(write) if attributes.has_acl else write({}))
        except NotFound as error:
            raise StoreRefused(
                f"The {self._shown} responded to an upload with 404: check S3_ENDPOINT_URL.", brief="404 to an upload"
            ) from error
        told: S3Response = {**answer, "ContentLength": size, "LastModified": datetime.now(UTC)}
        return replace(blob_of(key, told), attributes=attributes)

    async def _with_acl(self, write: Callable[[dict[str, str]], Awaitable[T]]) -> T:
        """Return the result of `write` with the ACL; with `S3_ACL=auto`, without it where the bucket takes none."""
        acl = {"ACL": self._acl} if self._acl else {}
        try:
            written = await write(acl)
        except AclRefused:
            if self._is_acl_known:
                raise
            written = await write({})
        except StoreDenied:
            if self._is_acl_known:
                raise
            written = await write({})
            # The credentials may just have been restored. Without its ACL, the blob would then stay private.
            try:
                return await write(acl)
            except StoreDenied:
                pass
            except StoreRefused:  # a conditional write cannot be repeated
                return written
        else:
            return written
        self._is_acl_known, self._acl = True, ""
        log.info("bucket_without_acls", detail=f"The {self._shown} takes no ACLs; blobs are written without.")
        return written


def _refuse_search(**_: object) -> None:
    raise StoreRefused(
        "The bucket is in another region or at another endpoint: check AWS_REGION and S3_ENDPOINT_URL.",
        brief="the bucket is in another region",
    )


def _measured(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(
            file, partial(hashlib.md5, usedforsecurity=False)
        ).digest()
