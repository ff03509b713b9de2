"""Tests of the requests that are sent to a bucket, and of its credentials and address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.base import Attributes
from proxy.stores.s3.config import BucketConfig
from tests.proxy.stores.s3.s3_stores import at, opened
from tests.proxy.stores.scripted import Scripted, answer, refusal
from tests.proxy.stores.seaweed import ADMIN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ATTRIBUTES = Attributes(content_type="image/jpeg", cache_control="max-age=9", metadata={"width": "800"})
PUT_OK = answer(200, ETag='"abc"')
HEAD_OK = answer(200, b"bytes", ETag='"abc"', Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    return path


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
    async with Scripted(refusal(412, "PreconditionFailed"), HEAD_OK) as server, opened(at(server)) as store:
        assert await store.put_new("a", file, ATTRIBUTES) is None
    assert [(seen.method, seen.headers.get("if-none-match")) for seen in server.seen] == [("PUT", "*"), ("HEAD", None)]


async def test_a_first_write_that_lost_against_nothing_is_made(file: Path) -> None:
    answers = (refusal(412, "PreconditionFailed"), answer(404), refusal(404, "NoSuchKey"), PUT_OK)
    async with Scripted(*answers) as server, opened(at(server)) as store:
        blob = await store.put_new("a", file, ATTRIBUTES)
        assert blob is not None
        assert blob.etag == "abc"
    assert [seen.method for seen in server.seen] == ["PUT", "HEAD", "GET", "PUT"]


async def test_a_first_write_that_lost_is_believed_where_looking_is_forbidden_without_a_reason(file: Path) -> None:
    async with Scripted(refusal(412, "PreconditionFailed"), answer(403)) as server, opened(at(server)) as store:
        assert await store.put_new("a", file, ATTRIBUTES) is None


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
        monkeypatch.setenv("HTTP_PROXY", server.url)  # so that no host name must resolve
        bucket = BucketConfig(
            name="images", endpoint_url="http://s3.example", region="us-east-1", addressing=addressing
        )
        async with opened(bucket) as store:
            await store.put("a", file, ATTRIBUTES)
        assert [seen.target for seen in server.seen] == [address]


async def test_a_forbidden_head_is_a_miss_when_a_get_says_so() -> None:
    async with Scripted(answer(403), refusal(404, "NoSuchKey")) as server, opened(at(server)) as store:
        assert await store.head("a") is None


async def test_a_bucket_that_has_answered_is_not_asked_by_a_get_whether_it_is_there() -> None:
    async with Scripted(answer(404), refusal(404, "NoSuchKey"), answer(404)) as server, opened(at(server)) as store:
        for _ in range(3):
            assert await store.head("a") is None
        assert [seen.method for seen in server.seen] == ["HEAD", "GET", "HEAD", "HEAD"]


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
        with pytest.raises(Exception, match="limit is 4; upload a smaller one"):
            await store.fetch("a", tmp_path / "copy", max_bytes=4)
        assert len(server.seen) == 1


CREDENTIALS_FILE = "[default]\naws_access_key_id = {0}\naws_secret_access_key = s\naws_session_token = {0}-token\n"


@pytest.fixture
def credentials_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of credentials without an expiry, which is all that botocore finds."""
    path = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    path.write_text(CREDENTIALS_FILE.format("first"))
    return path


def tokens(server: Scripted) -> list[str]:
    return [seen.headers["x-amz-security-token"] for seen in server.seen]


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
async def test_credentials_that_are_refused_are_read_again_from_their_file(
    file: Path, credentials_file: Path, code: str
) -> None:
    answers = (PUT_OK, refusal(400, code), PUT_OK)
    async with Scripted(*answers) as server, opened(at(server), credentials=None) as store:
        await store.put("a", file, ATTRIBUTES)
        credentials_file.write_text(CREDENTIALS_FILE.format("second"))
        await store.put("b", file, ATTRIBUTES)
    assert tokens(server) == ["first-token", "first-token", "second-token"]
    assert "Credential=second/" in server.seen[2].headers["authorization"]


async def test_credentials_that_are_refused_and_have_not_changed_are_no_passing_fault(
    file: Path, credentials_file: Path
) -> None:
    assert credentials_file.exists()
    async with Scripted(refusal(400, "ExpiredToken")) as server, opened(at(server), credentials=None) as store:
        with pytest.raises(StoreRefused, match="ExpiredToken"):
            await store.put("a", file, ATTRIBUTES)
    assert tokens(server) == ["first-token"]


@pytest.mark.parametrize("content", ["", "[default", "[default]\naws_access_key_id = alone\n"])
async def test_a_credentials_file_that_is_just_being_written_changes_nothing(
    file: Path, credentials_file: Path, content: str
) -> None:
    async with Scripted(refusal(400, "ExpiredToken"), PUT_OK) as server, opened(at(server), credentials=None) as store:
        credentials_file.write_text(content)
        with pytest.raises(StoreRefused, match="ExpiredToken"):
            await store.put("a", file, ATTRIBUTES)
        await store.put("a", file, ATTRIBUTES)
    assert tokens(server) == ["first-token", "first-token"]
