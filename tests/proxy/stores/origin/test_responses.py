"""Tests of a public server's responses: the check, MD5 ETags and dates."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreRefused, StoreUnavailable, UnfitKey
from tests.proxy.stores.origin.test_store import BRIEF, reader
from tests.proxy.stores.scripted import Scripted, answer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

MD5 = "4b3a6218bb3e3a7303e8a171a60fcf92"  # of b"bytes"
LIE = answer(200, b"BYTES", ETag=f'"{MD5}"')
TRUTH = answer(200, b"bytes", ETag=f'"{MD5}"')


@pytest.mark.parametrize("said", [answer(200), answer(204), answer(403), answer(404), answer(410)])
async def test_an_origin_that_answers_passes_its_check(said: bytes) -> None:
    async with Scripted(said) as server, reader(server) as store:
        await store.check()
        assert [seen.method for seen in server.seen] == ["HEAD"]


async def test_an_origin_that_takes_no_head_is_checked_by_a_get() -> None:
    async with Scripted(answer(405), answer(404)) as server, reader(server) as store:
        await store.check()
        assert [seen.method for seen in server.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize("said", [answer(401), answer(302, Location="http://127.0.0.2/x"), answer(400)])
async def test_an_origin_that_is_set_wrong_fails_the_check_with_the_settings_name(said: bytes) -> None:
    async with Scripted(said) as server, reader(server) as store:
        with pytest.raises(StoreRefused, match="ORIGINALS_BASE_URL"):
            await store.check()


@pytest.mark.parametrize("status", [400, 414])
async def test_a_key_that_an_origin_does_not_accept_is_the_keys_fault(status: int, tmp_path: Path) -> None:
    async with Scripted(answer(status)) as server, reader(server) as store:
        for asked in (store.head("a"), store.fetch("a", tmp_path / "copy", max_bytes=5)):
            with pytest.raises(UnfitKey, match=str(status)) as raised:
                await asked
            assert "127.0.0.1" not in str(raised.value)


async def test_an_origin_that_is_not_there_fails_the_check_and_says_where_it_looked() -> None:
    async with AsyncExitStack() as held:
        async with Scripted(answer(503)) as server:
            address = server.url
            store = await held.enter_async_context(reader(server))
            with pytest.raises(StoreUnavailable, match=f"{address}.*503"):
                await store.check()
        with pytest.raises(StoreUnavailable, match=f"{address}.*ORIGINALS_BASE_URL"):
            await store.check()


@pytest.mark.parametrize("name", ["Content_Type", "Cache_Control"])
async def test_a_header_that_no_response_can_send_is_left_out(name: str) -> None:
    async with Scripted(answer(200, b"x", **{name: "image/jp\u00e9g"})) as server, reader(server) as store:
        blob = await store.head("a")
        assert blob is not None
        assert (blob.attributes.content_type, blob.attributes.cache_control) == ("application/octet-stream", None)


async def test_bytes_that_are_not_those_of_an_md5_etag_are_asked_for_again(tmp_path: Path) -> None:
    async with Scripted(LIE, TRUTH) as server, reader(server) as store:
        await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert (tmp_path / "copy").read_bytes() == b"bytes"
        assert [seen.headers.get("cache-control") for seen in server.seen] == [None, "no-cache"]


async def test_an_etag_that_looks_like_an_md5_and_is_none_is_seen_through(tmp_path: Path) -> None:
    """The same bytes arrive twice under the same ETag, so they were not damaged in transit."""
    async with Scripted(LIE) as server, reader(server) as store:
        await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert (tmp_path / "copy").read_bytes() == b"BYTES"
        assert len(server.seen) == 2


async def test_bytes_that_are_wrong_in_another_way_each_time_are_never_kept(tmp_path: Path) -> None:
    lies = [answer(200, body, ETag=f'"{MD5}"') for body in (b"bytez", b"butes", b"bites")]
    async with Scripted(*lies) as server, reader(server) as store:
        with pytest.raises(StoreUnavailable, match="MD5"):
            await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert not (tmp_path / "copy").exists()
        assert len(server.seen) == BRIEF.attempts


@pytest.mark.parametrize(
    "told", [{"ETag": f'W/"{MD5}"'}, {"ETag": f'"{MD5}"', "x_amz_server_side_encryption": "aws:kms"}]
)
async def test_an_etag_that_is_said_to_be_no_md5_is_not_compared(tmp_path: Path, told: dict[str, str]) -> None:
    async with Scripted(answer(200, b"BYTES", **told)) as server, reader(server) as store:
        await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "told", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "6 Nov 1994 08:49:37 -0000"]
)
async def test_a_date_is_in_utc_whether_or_not_it_says_so(told: str) -> None:
    """The formats of RFC 9110, section 5.6.7."""
    async with Scripted(answer(200, b"bytes", Last_Modified=told)) as server, reader(server) as store:
        head = await store.head("a")
        assert head is not None
        assert head.modified.isoformat() == "1994-11-06T08:49:37+00:00"


@pytest.mark.parametrize(
    "told", ["", "yesterday", "Mon, 01 Jan 2024 99999999999999999999:00:00 GMT", "31 Dec 9999 23:59:59 -0500"]
)
async def test_a_date_that_is_none_is_taken_for_now(told: str) -> None:
    async with Scripted(answer(200, b"bytes", Last_Modified=told)) as server, reader(server) as store:
        head = await store.head("a")
        assert head is not None
        assert abs(datetime.now(UTC) - head.modified) < timedelta(minutes=1)
