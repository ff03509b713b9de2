"""Which hosts browsers read from."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from proxy.settings.settings import Settings


def is_read_by_browsers(settings: Settings, base_url: str) -> bool:
    """Return whether browsers read from the host of a URL, unless that is the bucket's own, which caches no 404."""
    (host, port), endpoint = _host_and_port(base_url), _host_and_port(settings.s3_endpoint_url)
    if not host or (host, port) != _host_and_port(settings.public_base_url):
        return False
    if not endpoint[0]:
        return not host.endswith(".amazonaws.com")
    bucket = settings.store.removeprefix("s3://")
    return (host, port) not in (endpoint, (f"{bucket}.{endpoint[0]}", endpoint[1]))


def _host_and_port(base_url: str) -> tuple[str, int]:
    """Return the host and the port of a URL; the ports of HTTP and HTTPS are one, as a CDN serves both alike."""
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port if parts.port not in (None, 80) else 443
