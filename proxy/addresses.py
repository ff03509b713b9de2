"""What is wrong with an address that a setting names, never quoted as it may hold a password; how one is shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

# What botocore takes for a bucket's name, or for the ARN of an access point.
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:[A-Za-z0-9:/_-]+")

_PASSWORDS: Final = re.compile(r"(://[^:/?#@]*:).*(?=@)|(password=)[^&]*")
"""Between user and host, whatever they are made of, or among the options."""


def without_passwords(value: str) -> str:
    """Give an address as it may be shown."""
    return _PASSWORDS.sub(lambda found: f"{found[1] or found[2]}***", value)


def web_fault(value: str) -> str | None:
    """Tell what is wrong with an address to read files below; an empty one is none."""
    if not value:
        return None
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket that is not closed, a port that is no number
        is_whole = False
    if not is_whole or re.search(r"\s", value):
        return "must begin with http:// or https:// and a host"
    return "must end before any ? or #, because keys are put after it" if "?" in value or "#" in value else None


def public_fault(value: str) -> str | None:
    """Tell what is wrong with an address for browsers, which may also be a path on this service."""
    if value.startswith("/") and not value.startswith("//"):
        return None
    return web_fault(value) if value else "must be set"


def endpoint_fault(value: str) -> str | None:
    """Tell what is wrong with the endpoint of a bucket."""
    if fault := web_fault(value):
        return fault
    if urlsplit(value).username is not None:
        return "takes no user and password; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return None


def bucket_fault(value: str) -> str | None:
    """Tell what is wrong with the name of a bucket; an empty one is none."""
    if not value or _BUCKET.fullmatch(value):
        return None
    return "must be the name of a bucket: letters, digits, '.', '_' and '-'"


def store_fault(value: str) -> str | None:
    """Tell what is wrong with the place of a store."""
    if value.startswith("s3://") and value != "s3://":
        return bucket_fault(value.removeprefix("s3://"))
    if value.startswith("file://") and value != "file://":
        return None
    return "must begin with file:// or s3:// and go on"
