"""What is particular to Cloudflare, Fastly and caches of one's own; and how clients are built and counted."""

from __future__ import annotations

import pytest

from proxy import metrics
from proxy.errors import CdnPurgeFailed, CdnPurgeRefused
from proxy.removal.cdn.cloudflare import CloudflarePurger
from proxy.removal.cdn.cloudfront import CloudFrontPurger
from proxy.removal.cdn.factory import purger_from
from proxy.removal.cdn.fastly import FastlyPurger
from proxy.removal.cdn.public_host import PublicHostPurger
from proxy.removal.cdn.url_template import UrlPurger
from tests.proxy.removal.cdn.fake_apis import TOKEN, FakeCache, FakeCloudflare, FakeFastly, cloudflare_error
from tests.proxy.removal.cdn.test_purgers import CHECKED, PICTURE, SITE, by_get, by_purge, cloudflare, fastly
from tests.proxy.stores.scripted import answer

pytestmark = pytest.mark.anyio


async def test_cloudflare_gets_at_most_30_urls_a_request() -> None:
    urls = [f"{SITE}/{number}.jpg" for number in range(61)]
    async with FakeCloudflare(urls) as fake:
        await cloudflare(fake.url, TOKEN).purge(urls)
        assert fake.copies == set()
        assert len(fake.requests) == 3


async def test_a_success_of_cloudflare_that_reports_errors_is_none() -> None:
    async with FakeCloudflare() as fake:
        fake.faults = [cloudflare_error(200, 1016), answer(200, b"<html>")]
        with pytest.raises(CdnPurgeRefused, match=r"200, error 1016.*zone of CDN_PURGE"):
            await cloudflare(fake.url, TOKEN).purge(PICTURE)
        with pytest.raises(CdnPurgeFailed, match="not its own"):
            await cloudflare(fake.url, TOKEN).purge(PICTURE)


async def test_an_unknown_service_of_fastly_is_found_by_the_check() -> None:
    async with FakeFastly() as fake:
        with pytest.raises(CdnPurgeRefused, match="the service of CDN_PURGE exists"):
            await FastlyPurger("other", token=TOKEN, api_url=fake.url).check()


async def test_fastly_says_in_its_own_header_when_the_limit_is_reset() -> None:
    async with FakeFastly() as fake:
        fake.faults = [answer(429, Fastly_RateLimit_Reset="1452032384")]
        one = FastlyPurger(fake.service, token=TOKEN, api_url=fake.url, clock=lambda: 1452032334.0)
        with pytest.raises(CdnPurgeFailed) as raised:
            await one.purge(PICTURE)
        assert raised.value.retry_after_seconds == 50


async def test_a_url_keeps_its_escapes_and_its_query() -> None:
    url = f"{SITE}/a%20%281%29%2B.jpg?v=1&w=2"
    async with FakeFastly([url]) as one, FakeCache([url]) as two, FakeCache([url]) as three:
        await fastly(one.url, TOKEN).purge([url])
        await by_purge(two.url, TOKEN).purge([url])
        await by_get(three.url, TOKEN).purge([url])
        assert [fake.copies for fake in (one, two, three)] == [set(), set(), set()]


async def test_a_page_that_is_missing_is_no_purge_by_get() -> None:
    async with FakeCache(PICTURE) as fake:
        with pytest.raises(CdnPurgeRefused, match="GET with 404"):
            await UrlPurger(f"{fake.url}/other?u={{url}}", token=TOKEN, check_url=CHECKED).purge(PICTURE)


async def test_a_cache_without_a_secret_gets_no_authorization() -> None:
    async with FakeCache() as fake:
        with pytest.raises(CdnPurgeRefused, match="403"):
            await by_purge(fake.url, "").check()
        assert "authorization" not in fake.requests[0].headers


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("cloudfront:E1EXAMPLE", CloudFrontPurger),
        (f"cloudflare:{FakeCloudflare.zone}", CloudflarePurger),
        ("fastly:1", FastlyPurger),
        ("url:http://127.0.0.1{path}", UrlPurger),
    ],
)
def test_the_setting_selects_the_client(address: str, kind: type) -> None:
    one = purger_from(address, token=TOKEN, check_url=CHECKED)
    assert isinstance(one, PublicHostPurger)
    assert isinstance(one._purger, kind)  # noqa: SLF001 - what it is cannot be seen from outside


def test_without_the_setting_there_is_no_client() -> None:
    assert purger_from("", token="", check_url=CHECKED) is None


async def test_purges_are_counted_by_outcome_and_checks_are_not() -> None:
    def counts() -> list[float]:
        samples = next(iter(metrics.cdn_purges_total.collect())).samples
        values = {sample.labels["outcome"]: sample.value for sample in samples}
        return [values[name] for name in ("done", "failed", "refused")]

    async with FakeCache(PICTURE) as fake:
        one = PublicHostPurger(by_purge(fake.url, TOKEN), public_url=CHECKED)
        before = counts()
        await one.check()
        await one.purge(PICTURE)
        fake.faults = [answer(503), answer(403)]
        with pytest.raises(CdnPurgeFailed):
            await one.purge(PICTURE)
        with pytest.raises(CdnPurgeRefused):
            await one.purge(PICTURE)
    assert [after - earlier for after, earlier in zip(counts(), before, strict=True)] == [1, 1, 1]


async def test_urls_on_hosts_that_the_cdn_does_not_serve_are_left_out() -> None:
    others = ["https://images.example.org/img/a/small", "https://cdn.example.org.evil.test/a", "https://bucket.test/a"]
    async with FakeCache(PICTURE) as fake:
        one = PublicHostPurger(by_purge(fake.url, TOKEN), public_url=CHECKED)
        await one.purge([*others, *PICTURE])
        await one.purge(others)
        assert fake.copies == set()
        assert len(fake.requests) == len(PICTURE)
