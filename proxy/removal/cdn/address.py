"""The value of CDN_PURGE: which CDN holds copies, and where it takes purges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

URL: Final = "{url}"
"""The place of the percent-encoded URL in a template, which is requested with GET."""

PATH: Final = "{path}"
"""The place of the URL's path in a template, which is requested with PURGE."""

TOKEN_PROVIDERS: Final = ("cloudflare", "fastly")
"""The providers whose API needs CDN_PURGE_TOKEN."""

_TARGETS: Final = {
    "cloudfront": (re.compile(r"[A-Za-z0-9]{1,64}"), "the id of a distribution, such as E1EXAMPLE"),
    "cloudflare": (re.compile(r"[0-9a-f]{32}"), "the id of a zone, 32 hexadecimal digits"),
    "fastly": (re.compile(r"[A-Za-z0-9]{1,64}"), "the id of a service"),
}

_FORMS: Final = "cloudfront:<id>, cloudflare:<zone>, fastly:<service> or url:<template>"


@dataclass(frozen=True, slots=True)
class CdnAddress:
    """A provider, or `url`, and the id of what it serves, or the template."""

    provider: str
    target: str


def parse_address(value: str) -> CdnAddress:
    """Return the parts of a valid value of CDN_PURGE."""
    provider, _, target = value.partition(":")
    return CdnAddress(provider, target)


def address_fault(value: str) -> str | None:
    """Return what is wrong with the value, or None; an empty value is valid."""
    if not value:
        return None
    address = parse_address(value)
    if address.provider == "url":
        return _template_fault(address.target)
    if address.provider not in _TARGETS:
        return f"must be {_FORMS}"
    pattern, what = _TARGETS[address.provider]
    return None if pattern.fullmatch(address.target) else f"{address.provider}: must be followed by {what}"


def _template_fault(template: str) -> str | None:
    try:
        parts = urlsplit(template.replace(PATH, "/"))
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, or a port that is not a number
        is_whole = False
    if not is_whole or re.search(r"[\s\x00-\x1f\x7f#]", template):
        return "url: must be followed by http:// or https:// and a host, without #"
    if parts.username is not None:
        return "url: must not contain a user name and password; set CDN_PURGE_TOKEN instead"
    if template.count(URL) + template.count(PATH) != 1:
        return f"url: must contain {URL} or {PATH} once"
    if template.endswith(PATH) or template.partition("?")[2].count(URL):
        return None
    return f"url: must end with {PATH}, or contain {URL} after ?"


def cdn_fault(value: str, *, has_token: bool, has_urls: bool) -> str | None:
    """Return what a valid value of CDN_PURGE lacks, or None.

    `has_urls`: it is known at which URLs browsers read pictures.
    """
    provider = parse_address(value).provider
    if provider in TOKEN_PROVIDERS and not has_token:
        return f"CDN_PURGE_TOKEN: must be set to an API token, because CDN_PURGE names {provider}"
    if provider and not has_urls:
        return (
            "CDN_PURGE: requires the public URLs of pictures: set PUBLIC_BASE_URL to the URL of the CDN, or "
            "PUBLIC_ORIGIN if the CDN is in front of this service"
        )
    return None
