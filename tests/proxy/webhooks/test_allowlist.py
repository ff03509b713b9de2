"""The allow-list for callbacks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadCallback
from proxy.webhooks.allowlist import CallbackTarget, parse_allow_list

SITE = parse_allow_list(
    ["www.gallformers.org", "*.example.org", "hooks.test:8443", "http://127.0.0.1:9000", "[::1]:9000"]
)

PRIVATE_NETWORKS = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::ffff:10.0.0.0/104",
    "64:ff9b::169.254.0.0/112",
    "2002:7f00::/24",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)


def inside(network: str) -> st.SearchStrategy[str]:
    return st.ip_addresses(network=network).map(str)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://www.gallformers.org", CallbackTarget(scheme="https", host="www.gallformers.org", port=443, path="/")),
        (
            "HTTPS://WWW.Gallformers.ORG:443/Aa?b=c",
            CallbackTarget(scheme="https", host="www.gallformers.org", port=443, path="/Aa?b=c"),
        ),
        (
            "https://www.gallformers.org?a",
            CallbackTarget(scheme="https", host="www.gallformers.org", port=443, path="/?a"),
        ),
        ("https://a.b.example.org/", CallbackTarget(scheme="https", host="a.b.example.org", port=443, path="/")),
        ("https://hooks.test:8443/x", CallbackTarget(scheme="https", host="hooks.test", port=8443, path="/x")),
        ("http://127.0.0.1:9000/x", CallbackTarget(scheme="http", host="127.0.0.1", port=9000, path="/x")),
        ("https://[0::1]:9000/x", CallbackTarget(scheme="https", host="::1", port=9000, path="/x")),
    ],
)
def test_a_listed_host_may_be_called(url: str, target: CallbackTarget) -> None:
    assert SITE.target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "https://gallformers.org/",
        "https://www.gallformers.org.evil.test/",
        "https://evil.test/www.gallformers.org",
        "https://www.gallformers.org:8443/",
        "http://www.gallformers.org/",
        "https://example.org/",
        "https://badexample.org/",
        "https://hooks.test/",
        "http://127.0.0.1/",
        "http://127.0.0.1:9001/",
        "https://127.0.0.1:9000/",
        "http://127.1:9000/",
        "http://2130706433:9000/",
        "http://[::ffff:127.0.0.1]:9000/",
    ],
)
def test_a_host_that_is_not_listed_may_not_be_called_and_the_setting_is_named(url: str) -> None:
    with pytest.raises(BadCallback, match="CALLBACK_HOSTS"):
        SITE.target(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "www.gallformers.org",
        "//www.gallformers.org/",
        "ftp://www.gallformers.org/",
        "https://user@www.gallformers.org/",
        "https://user:word@www.gallformers.org/",
        "https://evil.test\\@www.gallformers.org/",
        "https://www.gallformers.org\\@evil.test/",
        "https://www.gallformers.org#@evil.test/",
        "https://www.gallformers.org/#a",
        "https://www.gallformers.org/a b",
        "https://www.gallformers.org/\r\nhost: evil.test",
        "https://www.gallformers.org/\n",
        "https://www.gallformers.org./",
        "https://www.gallformers.org:0/",
        "https://www.gallformers.org:65536/",
        "https://www.gallformers.org:٤٤٣/",
        "https://www.gallformers.org:/",
        "https://\uff57ww.gallformers.org/",
        "http\u017f://www.gallformers.org/",
        "https://a\u212a.example.org/",
        "https://www.gallformers.org/ä",
        "https://*.example.org/",
        "https://[::1/",
        "https://[:::1]:9000/",
        "https://www.gallformers.org/" + "a" * 2048,
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(BadCallback):
        SITE.target(url)


@given(url=st.text() | st.from_regex(r"https?://[ -~]{0,40}", fullmatch=True))
def test_whatever_is_posted_is_a_listed_host_or_refused(url: str) -> None:
    try:
        target = SITE.target(url)
    except BadCallback:
        return
    assert target.host.endswith((".example.org", "www.gallformers.org")) or target.host in {
        "hooks.test",
        "127.0.0.1",
        "::1",
    }


@given(address=st.sampled_from(PRIVATE_NETWORKS).flatmap(inside))
def test_no_private_address_is_connected_to(address: str) -> None:
    assert not parse_allow_list(["*.example.org"]).is_permitted(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::93.184.216.34", "::ffff:9.9.9.9"])
def test_public_addresses_are_connected_to(address: str) -> None:
    assert parse_allow_list([]).is_permitted(address)


@given(ip=st.ip_addresses())
def test_an_address_is_permitted_just_as_its_mapped_form_is(ip: IPv4Address | IPv6Address) -> None:
    if isinstance(ip, IPv4Address):
        assert parse_allow_list([]).is_permitted(str(ip)) == parse_allow_list([]).is_permitted(f"::ffff:{ip}")


def test_private_addresses_are_permitted_where_they_are_listed() -> None:
    some = parse_allow_list(["10.0.0.0/8", "fd00::/8", "192.168.1.1", "http://127.0.0.1:9000", "[::1]:9000"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "192.168.1.1", "127.0.0.1", "::1"):
        assert some.is_permitted(address), address
    for address in ("11.0.0.1", "fe80::1%eth0", "192.168.1.2", "127.0.0.2", "::2", "169.254.169.254"):
        assert some.is_permitted(address) == (address == "11.0.0.1"), address


def test_a_network_is_no_host() -> None:
    with pytest.raises(BadCallback):
        parse_allow_list(["10.0.0.0/8"]).target("https://10.0.0.1/")


def test_an_address_alone_is_a_host() -> None:
    some = parse_allow_list(["192.168.1.1", "::1"])
    assert some.target("https://192.168.1.1/").host == "192.168.1.1"
    assert some.target("https://[::1]/").host == "::1"
    assert some.networks == (IPv4Network("192.168.1.1"), IPv6Network("::1"))


@pytest.mark.parametrize(
    "entry",
    [
        "https://example.org/path",
        "10.0.0.1/8",
        "user@example.org",
        "exa mple.org",
        "*",
        "a.*.org",
        "host:99999",
        "é.org",
    ],
)
def test_an_entry_that_is_nothing_of_these_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host, address or network") as fault:
        parse_allow_list(["example.org", entry])
    assert repr(entry) in str(fault.value)
