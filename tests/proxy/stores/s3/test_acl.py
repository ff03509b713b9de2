"""`S3_ACL=auto`: public-read where the bucket takes ACLs, none where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreDenied, StoreRefused
from proxy.stores.s3.config import AUTO_ACL
from tests.proxy.stores.blobs import ATTRIBUTES
from tests.proxy.stores.s3.s3_stores import at, opened
from tests.proxy.stores.scripted import Scripted, answer, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.stores.s3.config import BucketConfig

pytestmark = pytest.mark.anyio

PUT_OK = answer(200, ETag='"abc"')
DENIED = refusal(403, "AccessDenied")
HEAD_OK = answer(200, ETag='"abc"', Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")


@pytest.fixture(autouse=True)
def written(file: Path) -> None:
    file.write_bytes(b"bytes")


def auto(server: Scripted) -> BucketConfig:
    return replace(at(server), acl=AUTO_ACL)


def acls(server: Scripted) -> list[str | None]:
    return [seen.headers.get("x-amz-acl") for seen in server.seen if seen.method == "PUT"]


async def test_a_bucket_that_takes_acls_gets_them(file: Path) -> None:
    async with Scripted(PUT_OK) as server, opened(auto(server)) as store:
        await store.put("a", file, ATTRIBUTES)
        await store.put("b", file, ATTRIBUTES)
    assert acls(server) == ["public-read", "public-read"]


@pytest.mark.parametrize(("status", "code"), [(400, "AccessControlListNotSupported"), (501, "NotImplemented")])
async def test_a_bucket_that_supports_no_acls_is_written_without_from_then_on(
    file: Path, status: int, code: str
) -> None:
    async with Scripted(refusal(status, code), PUT_OK) as server, opened(auto(server)) as store:
        assert (await store.put("a", file, ATTRIBUTES)).etag == "abc"
        await store.put("b", file, ATTRIBUTES)
    assert acls(server) == ["public-read", None, None]


async def test_a_denial_that_goes_away_without_the_acl_and_comes_back_with_it_is_about_the_acl(file: Path) -> None:
    async with Scripted(DENIED, PUT_OK, DENIED, PUT_OK) as server, opened(auto(server)) as store:
        await store.put("a", file, ATTRIBUTES)
        await store.put("b", file, ATTRIBUTES)
    assert acls(server) == ["public-read", None, "public-read", None]


async def test_a_denial_that_passes_meanwhile_is_not_about_the_acl(file: Path) -> None:
    async with Scripted(DENIED, PUT_OK) as server, opened(auto(server)) as store:
        await store.put("a", file, ATTRIBUTES)
        await store.put("b", file, ATTRIBUTES)
    assert acls(server) == ["public-read", None, "public-read", "public-read"]


async def test_a_denial_with_and_without_the_acl_is_a_denial(file: Path) -> None:
    async with Scripted(DENIED) as server, opened(auto(server)) as store:
        with pytest.raises(StoreDenied):
            await store.put("a", file, ATTRIBUTES)
    assert acls(server) == ["public-read", None]


async def test_a_first_write_that_was_made_without_the_acl_is_not_taken_for_a_lost_one(file: Path) -> None:
    answers = (DENIED, PUT_OK, refusal(412, "PreconditionFailed"))
    async with Scripted(*answers) as server, opened(auto(server)) as store:
        assert await store.put_new("a", file, ATTRIBUTES) is not None


async def test_a_copy_finds_out_as_well() -> None:
    copied = answer(200, b"<CopyObjectResult><ETag>abc</ETag></CopyObjectResult>")
    answers = (refusal(400, "AccessControlListNotSupported"), copied, HEAD_OK)
    async with Scripted(*answers) as server, opened(auto(server)) as store:
        assert (await store.copy("a", "b")).key == "b"
    assert acls(server) == ["public-read", None]


@pytest.mark.parametrize("acl", ["public-read", "private"])
async def test_an_acl_that_was_set_is_sent_whatever_the_bucket_says(file: Path, acl: str) -> None:
    said = refusal(400, "AccessControlListNotSupported")
    async with Scripted(said) as server, opened(replace(at(server), acl=acl)) as store:
        with pytest.raises(StoreRefused, match="S3_ACL"):
            await store.put("a", file, ATTRIBUTES)
    assert acls(server) == [acl]


async def test_a_blob_that_is_to_have_no_acl_gets_none_and_nothing_is_learned_from_that(file: Path) -> None:
    async with Scripted(PUT_OK) as server, opened(auto(server)) as store:
        await store.put_new("a", file, replace(ATTRIBUTES, has_acl=False))
        await store.put("b", file, ATTRIBUTES)
    assert acls(server) == [None, "public-read"]
