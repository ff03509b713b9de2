"""Values of CDN_PURGE."""

from __future__ import annotations

import pytest

from proxy.removal.cdn.address import CdnAddress, address_fault, cdn_fault, parse_address

ZONE = "023e105f4ecef8ad9ca31a8372d0c353"


@pytest.mark.parametrize(
    "value",
    [
        *("", "cloudfront:E1EXAMPLE", f"cloudflare:{ZONE}", "fastly:SU1Z0isxPaozGVKXdv0eY"),
        *("url:https://cache.example.org/purge?u={url}", "url:http://10.0.0.1:6081{path}", "url:http://[::1]/a{path}"),
    ],
)
def test_a_provider_with_an_id_or_a_template_is_valid(value: str) -> None:
    assert address_fault(value) is None


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("akamai:1", "must be cloudfront:<id>, cloudflare:<zone>"),
        ("cloudfront", "the id of a distribution"),
        ("cloudfront:../..", "the id of a distribution"),
        ("cloudfront:E1?a", "the id of a distribution"),
        ("cloudflare:example.org", "32 hexadecimal digits"),
        ("fastly:a b", "the id of a service"),
        ("url:cache.example.org/{url}", "must be followed by http"),
        ("url:https://[::1/{path}", "must be followed by http"),
        ("url:https://cache.example.org/#{url}", "without #"),
        ("url:https://cache.example.org/", "must contain {url} or {path} once"),
        ("url:https://cache.example.org/{path}?u={url}", "once"),
        ("url:https://cache.example.org/{path}/x", "must end with {path}"),
        ("url:https://cache.example.org/{url}", "after ?"),
        ("url:https://me:secret@cache.example.org{path}", "CDN_PURGE_TOKEN"),
    ],
)
def test_another_value_is_refused_with_what_it_must_be(value: str, fault: str) -> None:
    assert fault in (address_fault(value) or "")
    assert "secret" not in (address_fault(value) or "")


def test_the_target_may_have_colons() -> None:
    assert parse_address("url:http://a:1{path}") == CdnAddress("url", "http://a:1{path}")


@pytest.mark.parametrize("value", [f"cloudflare:{ZONE}", "fastly:1"])
def test_an_api_with_tokens_needs_one(value: str) -> None:
    assert (cdn_fault(value, has_token=False, has_urls=True) or "").startswith("CDN_PURGE_TOKEN: ")
    assert cdn_fault(value, has_token=True, has_urls=True) is None


def test_the_public_urls_must_be_known() -> None:
    assert "PUBLIC_BASE_URL" in (cdn_fault("cloudfront:E1", has_token=False, has_urls=False) or "")
    assert cdn_fault("", has_token=False, has_urls=False) is None
