"""Whether a request comes from a browser on this machine."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from litestar.datastructures import Headers
    from litestar.types import HTTPScope

FORWARDED: Final = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
    "x-forwarded-server", "x-forwarded-prefix", "x-original-forwarded-for", "x-real-ip", "x-client-ip",
    "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "fly-client-ip",
    "x-envoy-external-address", "x-amzn-trace-id", "x-cloud-trace-context", "cdn-loop",
)  # fmt: skip
"""Headers that proxies add: what came through one may be from anywhere."""


def is_local(scope: HTTPScope, headers: Headers) -> bool:
    """Return whether a request was sent from this machine to a loopback address by its own name.

    The name counts, because a page of any site may send requests to a name that its DNS has changed to 127.0.0.1.
    """
    if any(name in headers for name in FORWARDED):
        return False
    client, server = scope.get("client") or ("", 0), scope.get("server") or ("", 0)
    return _is_loopback(client[0]) and _is_loopback(server[0]) and is_loopback_host(headers.get("host", ""))


def is_loopback_host(host: str) -> bool:
    """Return whether a `Host` header is a loopback address, or `localhost`, with any port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
