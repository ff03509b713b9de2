"""How a bucket is reached, and what its refusals become."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.base import Attributes
from proxy.stores.patience import Patience
from proxy.stores.s3 import Bucket, Credentials, S3Store
from tests.proxy.stores.scripted import Scripted, answer, refusal
from tests.proxy.stores.seaweed import ADMIN, PUBLIC_BUCKET, WRITER, Seaweed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

BRIEF = Patience(attempts=3, first_wait_seconds=0.001)
ATTRIBUTES = Attributes(content_type="image/jpeg", cache_control="max-age=9", metadata={"width": "800"})
PUT_OK = answer(200, ETag='"abc"')
HEAD_OK = answer(200, b"bytes", ETag='"abc"', Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    return path


@asynccontextmanager
async def opened(bucket: Bucket, credentials: Credentials | None = ADMIN) -> AsyncIterator[S3Store]:
    """Give a store that is started, and closed at the end."""
    store = S3Store(bucket, credentials, BRIEF)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def at(server: Scripted) -> Bucket:
    """Give a bucket at a scripted server."""
    return Bucket(name="images", endpoint_url=server.url, region="us-east-1", addressing="path")


async def test_a_put_tells_all_that_is_to_be_kept(file: Path) -> None:
    async with Scripted(PUT_OK) as server, opened(at(server)) as store:
        await store.put("a b/ü+%.jpg", file, ATTRIBUTES)
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("PUT", "/images/a%20b/%C3%BC%2B%25.jpg")
    expected = {
        "content-type": "image/jpeg",
        "cache-control": "max-age=9",
        "x-amz-meta-width": "800",
        "x-amz-acl": "public-read",
        "content-length": "5",
        "content-md5": "SzpiGLs+OnMD6KFxpg/Pkg==",
    }
    assert {name: seen.headers.get(name) for name in expected} == expected
    assert "expect" not in seen.headers


async def test_an_empty_acl_is_not_sent(file: Path) -> None:
    async with Scripted(PUT_OK) as server, opened(replace(at(server), acl="")) as store:
        await store.put("a", file, ATTRIBUTES)
    assert "x-amz-acl" not in server.seen[0].headers


async def test_a_first_write_is_conditional_and_losing_it_is_no_error(file: Path) -> None:
    async with Scripted(refusal(412, "PreconditionFailed")) as server, opened(at(server)) as store:
        assert await store.put_new("a", file, ATTRIBUTES) is None
    assert [seen.headers.get("if-none-match") for seen in server.seen] == ["*"]


async def test_a_session_token_goes_with_every_request(file: Path) -> None:
    credentials = replace(ADMIN, session_token="a-token")
    async with Scripted(PUT_OK) as server, opened(at(server), credentials) as store:
        await store.put("a", file, ATTRIBUTES)
    assert server.seen[0].headers["x-amz-security-token"] == "a-token"


async def test_a_secret_is_not_shown() -> None:
    assert "admin-secret" not in repr(ADMIN)
    assert "a-token" not in repr(replace(ADMIN, session_token="a-token"))


async def test_credentials_come_from_the_container_where_none_are_given(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = b'{"AccessKeyId":"from-container","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}'
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file.with_name("none")))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file.with_name("none")))
    async with Scripted(answer(200, given)) as container, Scripted(PUT_OK) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{container.port}/role")
        async with opened(at(server), credentials=None) as store:
            await store.put("a", file, ATTRIBUTES)
    assert "from-container" in server.seen[0].headers["authorization"]
    assert server.seen[0].headers["x-amz-security-token"] == "t"


@pytest.mark.parametrize(
    ("addressing", "address"),
    [
        ("path", "http://s3.example/images/a"),
        ("virtual", "http://images.s3.example/a"),
        ("auto", "http://s3.example/images/a"),
    ],
)
async def test_a_bucket_is_named_in_the_path_or_in_the_host(
    file: Path, monkeypatch: pytest.MonkeyPatch, addressing: Literal["auto", "path", "virtual"], address: str
) -> None:
    async with Scripted(PUT_OK) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)  # so that no name need be known
        bucket = Bucket(name="images", endpoint_url="http://s3.example", region="us-east-1", addressing=addressing)
        async with opened(bucket) as store:
            await store.put("a", file, ATTRIBUTES)
        assert [seen.target for seen in server.seen] == [address]


PASSING = [
    (500, "InternalError"),
    (502, "BadGateway"),
    (503, "SlowDown"),
    (504, "GatewayTimeout"),
    (429, "TooManyRequests"),
    (400, "RequestTimeout"),
    (400, "BadDigest"),
    (409, "ConditionalRequestConflict"),
]

LASTING = [
    (403, "AccessDenied", "s3:ListBucket"),
    (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
    (403, "RequestTimeTooSkewed", "clock"),
    (400, "AccessControlListNotSupported", "S3_ACL"),
    (400, "ExpiredToken", "too old"),
    (404, "NoSuchBucket", "S3_BUCKET"),
    (301, "PermanentRedirect", "S3_ENDPOINT_URL"),
    (400, "EntityTooLarge", "EntityTooLarge"),
    (501, "NotImplemented", "does not know"),
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


# A HEAD cannot tell a missing bucket from a missing key: the check at the start does.
@pytest.mark.parametrize(("status", "code", "hint"), [lasting for lasting in LASTING if lasting[0] != 404])
async def test_a_refused_head_tells_why_by_a_get(status: int, code: str, hint: str) -> None:
    async with Scripted(refusal(status, code)) as server, opened(at(server)) as store:
        with pytest.raises(StoreRefused, match=hint):
            await store.head("a")
        assert [seen.method for seen in server.seen] == ["HEAD", "GET"]


async def test_a_forbidden_head_is_a_miss_when_a_get_says_so() -> None:
    async with Scripted(answer(403), refusal(404, "NoSuchKey")) as server, opened(at(server)) as store:
        assert await store.head("a") is None


async def test_a_forbidden_head_is_a_hit_when_a_get_says_so() -> None:
    async with Scripted(answer(403), HEAD_OK) as server, opened(at(server)) as store:
        head = await store.head("a")
        assert head is not None
        assert (head.bytes, head.etag) == (5, "abc")


async def test_an_etag_that_is_no_md5_is_not_held_against_the_bytes(tmp_path: Path) -> None:
    plain = {"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    answers = (
        answer(200, b"bytes", ETag='"0123456789abcdef0123456789abcdef-2"', **plain),
        answer(200, b"bytes", ETag=f'"{"0" * 32}"', x_amz_server_side_encryption="aws:kms", **plain),
        answer(200, b"bytes", ETag=f'"{"0" * 32}"', **plain),
    )
    async with Scripted(*answers) as server, opened(at(server)) as store:
        for _ in range(2):
            await store.fetch("a", tmp_path / "copy", max_bytes=5)
        with pytest.raises(StoreUnavailable, match="MD5"):
            await store.fetch("a", tmp_path / "none", max_bytes=5)
        assert not (tmp_path / "none").exists()


async def test_too_many_bytes_are_not_even_read(tmp_path: Path) -> None:
    async with Scripted(HEAD_OK) as server, opened(at(server)) as store:
        with pytest.raises(Exception, match="at most 4 are taken"):
            await store.fetch("a", tmp_path / "copy", max_bytes=4)
        assert len(server.seen) == 1


@pytest.mark.parametrize("said", [b"not HTTP at all\r\n\r\n", answer(200, b"<not-closed>"), answer(503, b"<html>busy")])
async def test_nonsense_is_trouble_that_may_pass(said: bytes) -> None:
    async with Scripted(said) as server, opened(at(server)) as store:
        with pytest.raises(StoreUnavailable):
            await anext(aiter(store.list()))
        assert len(server.seen) == BRIEF.attempts


@pytest.mark.parametrize(
    "bucket", [Bucket(name="images", endpoint_url="nonsense", region="us-east-1"), Bucket(name="a bucket", region="us")]
)
async def test_a_bucket_that_cannot_be_is_refused(bucket: Bucket) -> None:
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
