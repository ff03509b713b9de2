"""Tests of a bucket's error responses: transient ones are retried, others are raised with a remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.errors import NotFound, RefusedForAll, StoreRefused, StoreUnavailable, UnfitKey
from proxy.stores.s3.config import BucketConfig, Credentials
from tests.proxy.stores.blobs import ATTRIBUTES
from tests.proxy.stores.s3.s3_stores import BRIEF, at, opened
from tests.proxy.stores.scripted import Scripted, answer, refusal
from tests.proxy.stores.seaweed import ADMIN, PUBLIC_BUCKET, WRITER, Seaweed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

PUT_OK = answer(200, ETag='"abc"')


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    return path


PASSING = [
    (500, "InternalError"),
    (502, "BadGateway"),
    (503, "SlowDown"),
    (504, "GatewayTimeout"),
    (429, "TooManyRequests"),
    (400, "RequestTimeout"),
    (400, "BadDigest"),
    (400, "XAmzContentSHA256Mismatch"),
    (409, "ConditionalRequestConflict"),
]

LASTING = [
    (403, "AccessDenied", "s3:ListBucket"),
    (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
    (403, "RequestTimeTooSkewed", "clock"),
    (400, "AccessControlListNotSupported", "S3_ACL"),
    (400, "ExpiredToken", "has expired"),
    (400, "InvalidArgument", "S3_ACL"),
    (404, "NoSuchBucket", "S3_BUCKET"),
    (301, "PermanentRedirect", "S3_ENDPOINT_URL"),
    (400, "AuthorizationHeaderMalformed", "AWS_REGION"),
    (400, "EntityTooLarge", "EntityTooLarge"),
    (501, "NotImplemented", "S3_ACL .*CONDITIONAL_WRITES"),
    (412, "PreconditionFailed", "PreconditionFailed"),
    (307, "TemporaryRedirect", "AWS_REGION"),
    (302, "Found", "S3_ENDPOINT_URL"),
]


@pytest.mark.parametrize(("status", "code"), PASSING)
async def test_what_may_pass_is_asked_again(file: Path, status: int, code: str) -> None:
    async with Scripted(refusal(status, code), refusal(status, code), PUT_OK) as server, opened(at(server)) as store:
        assert (await store.put("a", file, ATTRIBUTES)).etag == "abc"
        assert len(server.seen) == 3


@pytest.mark.parametrize(("status", "code"), PASSING)
async def test_what_does_not_pass_in_time_is_unavailable(file: Path, status: int, code: str) -> None:
    async with Scripted(refusal(status, code)) as server, opened(at(server)) as store:
        with pytest.raises(StoreUnavailable, match=code):
            await store.put("a", file, ATTRIBUTES)
        assert len(server.seen) == BRIEF.attempts


@pytest.mark.parametrize(("status", "code", "hint"), LASTING)
async def test_what_will_not_pass_is_refused_at_once_with_what_to_do(
    file: Path, status: int, code: str, hint: str
) -> None:
    async with Scripted(refusal(status, code)) as server, opened(at(server)) as store:
        with pytest.raises(StoreRefused, match=hint):
            await store.put("a", file, ATTRIBUTES)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(403, "RequestTimeTooSkewed"), (403, "InvalidAccessKeyId"), (400, "ExpiredToken")]
)
async def test_what_cannot_be_about_one_key_is_told_apart(file: Path, status: int, code: str) -> None:
    async with Scripted(refusal(status, code)) as server, opened(at(server)) as store:
        with pytest.raises(RefusedForAll):
            await store.put("a", file, ATTRIBUTES)


@pytest.mark.parametrize("code", ["KeyTooLongError", "XMinioInvalidObjectName", "InvalidObjectName"])
async def test_what_is_said_against_one_key_is_the_keys_fault_and_names_no_bucket(file: Path, code: str) -> None:
    async with Scripted(refusal(400, code)) as server, opened(at(server)) as store:
        for asked in (
            store.put("a", file, ATTRIBUTES),
            store.put_new("a", file, ATTRIBUTES),
            store.head("a"),
            store.fetch("a", file.with_name("copy"), max_bytes=9),
        ):
            with pytest.raises(UnfitKey, match=code) as raised:
                await asked
            assert "127.0.0.1" not in str(raised.value)


async def test_a_segment_that_seaweed_cannot_hold_is_the_keys_fault_or_a_miss(weed: Seaweed, file: Path) -> None:
    async with opened(weed.bucket()) as store:
        with pytest.raises(UnfitKey, match="KeyTooLongError"):
            await store.put("a" * 256, file, ATTRIBUTES)
        assert await store.head("a" * 256) is None


async def test_a_blob_under_a_customers_key_has_a_sentence_of_its_own(file: Path) -> None:
    said = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided."
    async with Scripted(refusal(400, "InvalidRequest", said)) as server, opened(at(server)) as store:
        for asked in (store.head("a"), store.fetch("a", file.with_name("copy"), max_bytes=9)):
            with pytest.raises(UnfitKey, match="SSE-C"):
                await asked


async def test_the_servers_own_message_is_shown_in_one_line_that_is_not_endless(file: Path) -> None:
    said = "the region 'us-east-1' is wrong;\n expecting 'eu-west-1'"
    answers = (refusal(400, "AuthorizationHeaderMalformed", said), refusal(403, "Strange", "x\u202e" * 5000))
    async with Scripted(*answers) as server, opened(at(server)) as store:
        with pytest.raises(StoreRefused, match=r"is wrong; expecting 'eu-west-1'\. The region is wrong") as raised:
            await store.put("a", file, ATTRIBUTES)
        assert raised.value.brief == "AuthorizationHeaderMalformed (400)"
        with pytest.raises(StoreRefused) as raised:
            await store.put("a", file, ATTRIBUTES)
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 400


@pytest.mark.parametrize(("status", "code", "hint"), LASTING)
async def test_a_refused_head_tells_why_by_a_get(status: int, code: str, hint: str) -> None:
    async with Scripted(refusal(status, code)) as server, opened(at(server)) as store:
        with pytest.raises(StoreRefused, match=hint):
            await store.head("a")
        assert [seen.method for seen in server.seen] == ["HEAD", "GET"]


async def test_a_refusal_names_the_bucket_and_where_it_was_looked_for(file: Path) -> None:
    for said, error in ((refusal(403, "NoSuchBucket"), StoreRefused), (refusal(503, "SlowDown"), StoreUnavailable)):
        async with Scripted(said) as server, opened(at(server)) as store:
            with pytest.raises(error, match=f"bucket images at {server.url}"):
                await store.put("a", file, ATTRIBUTES)


async def test_a_refusal_names_the_endpoint_that_the_environment_tells_botocore_too(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Scripted(refusal(403, "AccessDenied")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        async with opened(replace(at(server), endpoint_url=None)) as store:
            with pytest.raises(StoreRefused, match=f"bucket images at {server.url}"):
                await store.put("a", file, ATTRIBUTES)


async def test_an_endpoint_where_nobody_listens_is_named_with_its_setting(file: Path) -> None:
    async with Scripted(PUT_OK) as server:
        bucket = at(server)
    async with opened(bucket) as store:
        with pytest.raises(StoreUnavailable, match=f"{bucket.endpoint_url}.*S3_ENDPOINT_URL"):
            await store.put("a", file, ATTRIBUTES)


async def test_a_store_whose_credentials_are_nowhere_does_not_start_and_names_their_variables(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file.with_name("none")))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file.with_name("none")))
    async with Scripted(PUT_OK) as server:
        with pytest.raises(StoreRefused, match="AWS_ACCESS_KEY_ID"):
            async with opened(at(server), credentials=None):
                pass


@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>"])
async def test_a_page_for_people_that_says_404_is_a_miss(body: bytes, tmp_path: Path) -> None:
    async with Scripted(answer(404, body)) as server, opened(at(server)) as store:
        assert await store.head("a") is None
        with pytest.raises(NotFound):
            await store.fetch("a", tmp_path / "copy", max_bytes=9)
        await store.delete("a")


async def test_an_endpoint_that_knows_no_bucket_fails_the_check_and_takes_nothing(file: Path) -> None:
    async with Scripted(answer(404, b"<html>nginx</html>")) as server, opened(at(server)) as store:
        with pytest.raises(StoreRefused, match="S3_ENDPOINT_URL"):
            await store.check()
        with pytest.raises(StoreRefused, match="S3_ENDPOINT_URL"):
            await store.put("a", file, ATTRIBUTES)


async def test_credentials_that_may_not_list_are_told_what_to_allow(weed: Seaweed) -> None:
    async with opened(weed.bucket(), WRITER) as store:
        with pytest.raises(StoreRefused, match="s3:ListBucket"):
            await anext(aiter(store.list()))


async def test_an_endpoint_that_knows_no_bucket_has_no_listing() -> None:
    async with Scripted(answer(404, b"<html>nginx</html>")) as server, opened(at(server)) as store:
        with pytest.raises(StoreRefused, match="S3_ENDPOINT_URL"):
            await anext(aiter(store.list()))


async def test_a_second_412_is_a_refusal(file: Path) -> None:
    async with Scripted(refusal(412, "PreconditionFailed")) as server, opened(at(server)) as store:
        for asked in (
            store.put("a", file, ATTRIBUTES),
            store.put_new("a", file, ATTRIBUTES),
            store.head("a"),
            store.fetch("a", file.with_name("copy"), max_bytes=9),
            store.check(),
        ):
            with pytest.raises(StoreRefused):
                await asked


@pytest.mark.parametrize("said", [b"not HTTP at all\r\n\r\n", answer(200, b"<not-closed>"), answer(503, b"<html>busy")])
async def test_nonsense_is_trouble_that_may_pass(said: bytes) -> None:
    async with Scripted(said) as server, opened(at(server)) as store:
        with pytest.raises(StoreUnavailable):
            await anext(aiter(store.list()))
        assert len(server.seen) == BRIEF.attempts


@pytest.mark.parametrize(
    "bucket",
    [
        BucketConfig(name="images", endpoint_url="nonsense", region="us-east-1"),
        BucketConfig(name="a bucket", region="us"),
    ],
)
async def test_a_bucket_that_cannot_be_is_refused(bucket: BucketConfig) -> None:
    with pytest.raises(StoreRefused):
        async with opened(bucket) as store:
            await store.check()


async def test_a_check_tells_what_is_wrong(weed: Seaweed) -> None:
    stranger = Credentials(access_key_id="nobody", secret_access_key="nothing")
    forger = replace(ADMIN, secret_access_key="wrong")
    for bucket, credentials, hint in (
        (weed.bucket(), stranger, "AWS_ACCESS_KEY_ID"),
        (weed.bucket(), forger, "AWS_SECRET_ACCESS_KEY"),
        (weed.bucket("nowhere"), ADMIN, "S3_BUCKET"),
    ):
        async with opened(bucket, credentials) as store:
            with pytest.raises(StoreRefused, match=hint):
                await store.check()


async def test_credentials_that_only_write_can_write_and_are_told_that_they_cannot_read(
    weed: Seaweed, file: Path, tmp_path: Path
) -> None:
    async with opened(weed.bucket(PUBLIC_BUCKET), WRITER) as store:
        await store.check()
        await store.put("only/written", file, ATTRIBUTES)
        assert await store.put_new("only/written", file, ATTRIBUTES) is None
        for asked in (store.head("only/written"), store.fetch("only/written", tmp_path / "copy", max_bytes=9)):
            with pytest.raises(StoreRefused, match="s3:ListBucket"):
                await asked


async def test_credentials_that_only_write_cannot_delete_and_are_told_what_to_allow(weed: Seaweed, file: Path) -> None:
    async with opened(weed.bucket(), WRITER) as store, opened(weed.bucket(), ADMIN) as admin:
        await store.put("only/written", file, ATTRIBUTES)
        with pytest.raises(StoreRefused, match="s3:DeleteObject"):
            await store.delete("only/written")
        assert await admin.head("only/written") is not None
        await admin.delete("only/written")


async def test_a_server_that_misses_what_is_deleted_is_right_as_well() -> None:
    async with Scripted(refusal(404, "NoSuchKey")) as server, opened(at(server)) as store:
        await store.delete("a")
