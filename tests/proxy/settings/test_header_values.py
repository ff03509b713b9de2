"""Settings that become part of a header are validated at start, and each message says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.settings.settings import list_settings, read_settings
from proxy.settings.sizes import BadSettings

if TYPE_CHECKING:
    from collections.abc import Callable

WRONG = [
    ("CACHE_CONTROL", "public; max-age=60", "known directives, separated by commas"),
    ("CACHE_CONTROL", "public, maxage=60", "is it max-age?"),
    ("CACHE_CONTROL", "max-age", "max-age=<seconds>"),
    ("CACHE_CONTROL", "max-age=-1", "max-age=<seconds>"),
    ("CACHE_CONTROL", "public, max-age=99999999999", "from 0 to 2147483648"),
    ("CACHE_CONTROL", "public, private", "keep one of them"),
    ("CACHE_CONTROL", "max-age=1, max-age=2", "only once"),
    ("CACHE_CONTROL", "immutable=1", "without a value"),
    ("CACHE_CONTROL", "public,\r\nx-evil: 1", "printable ASCII"),
    ("CACHE_CONTROL", "öffentlich", "printable ASCII"),
    ("CORS_ORIGINS", "example.org", "scheme://host"),
    ("CORS_ORIGINS", "https://a.test, https://b.test/", "entry 2 must be * or an origin"),
    ("CORS_ORIGINS", "https://A.test", "lower case"),
    ("CORS_ORIGINS", "https://a.test:443", "or none if it is the default"),
    ("CORS_ORIGINS", "https://*.a.test", "must be * or an origin"),
    ("CORS_ORIGINS", ",", "entry 1 must be"),
    ("TIMING_ALLOW_ORIGIN", "https://a.test/page", "without a path"),
    ("TIMING_ALLOW_ORIGIN", "https://a.test\x7f", "printable ASCII"),
    ("PUBLIC_BASE_URL", "https://bücher.test", "percent-encode"),
    ("PUBLIC_BASE_URL", "images.test", "must be a path such as /files, or start with http:// or https:// and a host"),
    ("PUBLIC_BASE_URL", "/files\r\nset-cookie: a=b", "percent-encode"),
    ("PUBLIC_BASE_URL", "/files?a", "must not contain ? or #"),
    ("PUBLIC_BASE_URL", "https://user:hunter2@a.test", "user or password"),
    ("PUBLIC_ORIGIN", "*", "must be one origin"),
    ("PUBLIC_ORIGIN", "https://a.test/images", "without a path"),
    ("PUBLIC_ORIGIN", "https://a.test:443", "or none if it is the default"),
    ("S3_ACL", "public", "one of private, public-read"),
    ("S3_ACL", "public-read\n\tx", "one of private, public-read"),
    ("AWS_REGION", "us east 1", "us-east-1"),
    ("ORIGINALS_BASE_URL", "http://a.test/\x01", "http:// or https://"),
    ("S3_ENDPOINT_URL", "http://a.test\x02b", "http:// or https://"),
    ("HOST", "é" * 70, "such as 127.0.0.1"),
    ("PORT", "eighty", "whole number, such as 8080"),
    ("PORT", "99999999", "between 1 and 65535, not 99999999"),
    ("ALLOW_UNSIGNED", "perhaps", "true or false"),
    ("JOB_KEEP_DAYS", "a week", "must be a number, such as 7"),
    ("JOB_KEEP_DAYS", "nan", "must be a number, such as 7"),
]


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in list_settings():
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.setenv("STORE", "s3://images")
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://images.test")


@pytest.mark.parametrize(("name", "value", "advice"), WRONG)
def test_a_wrong_setting_is_named_with_what_it_must_be(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None], name: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as refusal:
        read_settings(accepts_jobs=False)
    (fault,) = refusal.value.faults
    record_property("says", fault)
    assert fault.startswith(f"{name}: ")
    assert advice in fault
    assert "hunter2" not in fault
    assert fault.isprintable()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CACHE_CONTROL", ""),
        ("CACHE_CONTROL", "no-store"),
        ("CACHE_CONTROL", "Public, Max-Age=86400, s-maxage=0, stale-while-revalidate=2147483648, immutable"),
        ("CACHE_CONTROL", 'private="set-cookie, x-a", no-cache'),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.test, http://localhost:3000,http://[::1]:8080"),
        ("CORS_ORIGINS", "capacitor://localhost"),
        ("TIMING_ALLOW_ORIGIN", "*"),
        ("TIMING_ALLOW_ORIGIN", "https://a.test,https://xn--bcher-kva.test:8443"),
        ("PUBLIC_BASE_URL", "/images/%C3%BC"),
        ("PUBLIC_BASE_URL", "https://cdn.test:8443/some%20where/~x"),
        ("S3_ACL", ""),
        ("S3_ACL", "bucket-owner-full-control"),
        ("AWS_REGION", "auto"),
        ("HOST", "::"),
    ],
)
def test_a_right_setting_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(read_settings(accepts_jobs=False), name.lower()) == value
