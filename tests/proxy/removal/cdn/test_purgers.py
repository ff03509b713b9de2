"""The contract of every client that purges a CDN, against the documented API of its provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from loadtest.servers.ports import free_port
from proxy.errors import CdnPurgeFailed, CdnPurgeRefused
from proxy.removal.cdn.api import CdnApi
from proxy.removal.cdn.cloudflare import CloudflarePurger
from proxy.removal.cdn.cloudfront import REGION, CloudFrontPurger
from proxy.removal.cdn.fastly import FastlyPurger
from proxy.removal.cdn.url_template import UrlPurger
from proxy.stores.s3.signing import RequestSigner
from tests.proxy.removal.cdn.fake_apis import (
    TOKEN,
    FakeCache,
    FakeCloudflare,
    FakeCloudFront,
    FakeFastly,
)
from tests.proxy.stores.scripted import answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from proxy.removal.cdn.base import CdnPurger
    from tests.proxy.removal.cdn.fake_apis import FakeApi

pytestmark = pytest.mark.anyio

SITE: Final = "https://cdn.example.org/gall"
PICTURE: Final = [f"{SITE}/58/58_1_{size}.jpg" for size in ("original", "small", "medium", "large", "xlarge")]
OTHERS: Final = {f"{SITE}/58/58_1_small.jpg.avif", f"{SITE}/59/59_1_small.jpg", "https://www.example.org/a"}
CHECKED: Final = f"{SITE}/gallformers-images/write-probe"


async def at_once(_seconds: float) -> None:
    """Wait for nothing."""


def cloudfront(url: str, _token: str) -> CdnPurger:
    signer = RequestSigner(service="cloudfront", region=REGION)
    return CloudFrontPurger("E1EXAMPLE", signer=signer, check_url=CHECKED, endpoint=url, sleep=at_once)


def cloudflare(url: str, token: str) -> CdnPurger:
    return CloudflarePurger(FakeCloudflare.zone, token=token, check_url=CHECKED, api_url=url)


def fastly(url: str, token: str) -> CdnPurger:
    return FastlyPurger(FakeFastly.service, token=token, api_url=url)


def by_purge(url: str, token: str) -> CdnPurger:
    return UrlPurger(f"{url}{{path}}", token=token, check_url=CHECKED)


def by_get(url: str, token: str) -> CdnPurger:
    return UrlPurger(f"{url}/purge?u={{url}}", token=token, check_url=CHECKED)


@dataclass(frozen=True, slots=True)
class Provider:
    """A fake CDN, how to build its client, and what names the missing permission."""

    fake: Callable[[set[str]], FakeApi]
    build: Callable[[str, str], CdnPurger]
    permission: str


PROVIDERS: Final = {
    "cloudfront": Provider(FakeCloudFront, cloudfront, "AWS_SECRET_ACCESS_KEY"),
    "cloudflare": Provider(FakeCloudflare, cloudflare, r"CDN_PURGE_TOKEN .* Cache Purge"),
    "fastly": Provider(FakeFastly, fastly, "CDN_PURGE_TOKEN .* purge_select"),
    "purge": Provider(FakeCache, by_purge, "CDN_PURGE_TOKEN"),
    "get": Provider(FakeCache, by_get, "CDN_PURGE_TOKEN"),
}


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    return PROVIDERS[request.param]


@pytest.fixture
async def fake(provider: Provider) -> AsyncIterator[FakeApi]:
    async with provider.fake({*PICTURE, *OTHERS}) as one:
        yield one


@pytest.fixture
def purger(provider: Provider, fake: FakeApi) -> CdnPurger:
    return provider.build(fake.url, TOKEN)


async def test_the_copies_of_these_urls_are_removed_and_no_others(fake: FakeApi, purger: CdnPurger) -> None:
    await purger.purge([*PICTURE, PICTURE[0]])
    assert fake.copies == OTHERS


async def test_a_purge_of_nothing_sends_nothing(fake: FakeApi, purger: CdnPurger) -> None:
    await purger.purge([])
    assert fake.requests == []


async def test_urls_without_a_copy_are_no_failure(fake: FakeApi, purger: CdnPurger) -> None:
    fake.copies = {*OTHERS}
    await purger.purge(PICTURE)
    assert fake.copies == OTHERS


async def test_a_check_removes_no_copy(fake: FakeApi, purger: CdnPurger) -> None:
    await purger.check()
    await purger.check()
    assert fake.copies == {*PICTURE, *OTHERS}
    assert fake.requests


async def test_a_check_and_a_purge_name_the_setting_that_the_provider_rejects(
    fake: FakeApi, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    other = provider.build(fake.url, "wrong")
    for use in (other.check(), other.purge(PICTURE)):
        with pytest.raises(CdnPurgeRefused, match=provider.permission):
            await use
    assert fake.copies == {*PICTURE, *OTHERS}


@pytest.mark.parametrize("status", [429, 500])
async def test_a_passing_failure_may_be_retried(fake: FakeApi, purger: CdnPurger, status: int) -> None:
    fake.faults = [answer(status, b"<html>")]
    with pytest.raises(CdnPurgeFailed, match=str(status)) as raised:
        await purger.purge(PICTURE)
    assert raised.value.retry_after_seconds is None
    await purger.purge(PICTURE)
    assert fake.copies == OTHERS


async def test_a_response_that_is_not_the_providers_names_a_setting(fake: FakeApi, purger: CdnPurger) -> None:
    fake.faults = [answer(400, b"<html>")]
    with pytest.raises(CdnPurgeRefused, match=r"400.*CDN_PURGE"):
        await purger.purge(PICTURE)


async def test_a_redirect_is_not_followed(fake: FakeApi, purger: CdnPurger) -> None:
    fake.faults = [answer(302, Location=f"{fake.url}/elsewhere")]
    with pytest.raises(CdnPurgeRefused, match=r"302"):
        await purger.purge(PICTURE)
    assert len(fake.requests) == 1


async def test_a_throttled_purger_sends_nothing_until_the_wait_is_over(fake: FakeApi, purger: CdnPurger) -> None:
    fake.faults = [answer(429, Retry_After="30")]
    with pytest.raises(CdnPurgeFailed) as raised:
        await purger.purge(PICTURE)
    assert raised.value.retry_after_seconds == 30
    for use in (purger.purge(PICTURE), purger.check()):
        with pytest.raises(CdnPurgeFailed, match="wait for another") as again:
            await use
        assert 0 < (again.value.retry_after_seconds or 0) <= 30
    assert len(fake.requests) == 1


async def test_no_message_has_the_token_or_the_providers_text(fake: FakeApi, purger: CdnPurger) -> None:
    fake.faults = [answer(403, b'{"success": false, "errors": [{"code": 1, "message": "arn:aws:iam"}]}')]
    with pytest.raises(CdnPurgeRefused) as raised:
        await purger.purge(PICTURE)
    assert TOKEN not in str(raised.value)
    assert "arn:" not in str(raised.value)


async def test_a_provider_that_cannot_be_reached_may_be_retried(provider: Provider) -> None:
    with pytest.raises(CdnPurgeFailed, match="cannot be reached"):
        await provider.build(f"http://127.0.0.1:{free_port()}", TOKEN).purge(PICTURE)


async def test_a_wait_is_over_by_the_clock_and_never_longer_than_an_hour() -> None:
    now = [1000.0]
    api = CdnApi("The CDN", clock=lambda: now[0])
    async with FakeCache() as fake:
        fake.faults = [answer(503, Retry_After="9" * 400), answer(200)]
        with pytest.raises(CdnPurgeFailed) as raised:
            await api.send("GET", fake.url)
        assert raised.value.retry_after_seconds == 3600
        now[0] += 3601
        assert (await api.send("GET", fake.url)).status == 200
