"""Validators of settings that become part of an HTTP header."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"

MAX_SECONDS: Final = 1 << 31
"""The largest number of seconds that caches have to understand (RFC 9111, 1.2.2)."""

_WITH_SECONDS: Final = ("max-age", "s-maxage", "stale-while-revalidate", "stale-if-error")
_BARE: Final = (
    *("public", "private", "no-cache", "no-store", "no-transform"),
    *("must-revalidate", "proxy-revalidate", "must-understand", "immutable"),
)
_WITH_FIELDS: Final = ("private", "no-cache")
"""Directives that may name header fields, such as `private="set-cookie"`."""

_FIELDS: Final = re.compile(r'"[A-Za-z0-9-]+(, ?[A-Za-z0-9-]+)*"')
_SEPARATOR: Final = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A comma outside of quotes."""

_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_MAX_PORT: Final = 65_535

ACLS: Final = (
    *("private", "public-read", "public-read-write", "authenticated-read"),
    *("aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"),
)
"""S3's canned ACLs of objects."""

AUTO_ACL: Final = "auto"
"""Not sent: the store finds out whether the bucket takes ACLs."""


def unprintable(value: str) -> str | None:
    """Return a message if `value` has characters that no header can hold: others than printable ASCII."""
    if value.isascii() and value.isprintable():
        return None
    return "must have only printable ASCII characters, because it is sent in a header"


def token(value: str) -> str | None:
    """Return what is wrong with a token, or None; an empty value is valid. It is a secret, so it is not quoted."""
    if value.isascii() and value.isprintable() and " " not in value:
        return None
    return "must have only printable ASCII characters, and no space; make one with: openssl rand -hex 32"


def cache_control(value: str) -> str | None:
    """Return what is wrong with a Cache-Control header, or None; an empty value is valid."""
    if not value:
        return None
    if fault := unprintable(value):
        return fault
    directives = [directive.strip() for directive in _SEPARATOR.split(value)]
    if fault := next(filter(None, map(_directive_fault, directives)), None):
        return fault
    names = [directive.partition("=")[0].lower() for directive in directives]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        return f"must have {repeated} only once"
    if {"public", "private"} <= {*names}:
        return "must not be both public and private; keep one of them"
    return None


def _directive_fault(directive: str) -> str | None:
    name, equals, argument = directive.partition("=")
    name = name.lower()
    if name in _WITH_SECONDS:
        is_sane = argument.isdecimal() and int(argument) <= MAX_SECONDS
        return None if is_sane else f"must have {name}=<seconds>, from 0 to {MAX_SECONDS}, not {directive!r}"
    if name not in _BARE:
        similar = get_close_matches(name, (*_BARE, *_WITH_SECONDS), n=1)
        advice = f"; is it {similar[0]}?" if similar else f": use {', '.join((*_BARE, *_WITH_SECONDS))}"
        return f"must have only known directives, separated by commas, not {directive!r}{advice}"
    if equals and not (name in _WITH_FIELDS and _FIELDS.fullmatch(argument)):
        return f"must have {name} without a value, not {directive!r}"
    return None


def origins(value: str) -> str | None:
    """Return what is wrong with the first invalid entry of a list of origins, or None; an empty list is valid.

    Entries are not quoted, because a full URL may contain a password.
    """
    if not value:
        return None
    if fault := unprintable(value):
        return fault
    for number, entry in enumerate(value.split(","), start=1):
        if fault := _origin_fault(entry.strip()):
            return f"entry {number} {fault}"
    return None


def origin(value: str) -> str | None:
    """Return what is wrong with one origin, or None; an empty value is valid."""
    if value == ANY:
        return "must be one origin, such as https://images.example.org"
    return _origin_fault(value) if value else None


def _origin_fault(entry: str) -> str | None:
    if entry == ANY:
        return None
    found = _ORIGIN.fullmatch(entry)
    if not found:
        return (
            "must be * or an origin as browsers send it: scheme://host or scheme://host:port, such as "
            "https://www.example.org, in lower case, without a path"
        )
    scheme, _, port = found.groups()
    if port and (port == _DEFAULT_PORTS.get(scheme) or not 0 < int(port) <= _MAX_PORT):
        return "must have a port from 1 to 65535, or none if it is the default, because browsers leave that out"
    return None


def acl(value: str) -> str | None:
    """Return what is wrong with the ACL of derivatives, or None; an empty value sends none."""
    if value in {"", AUTO_ACL, *ACLS}:
        return None
    return f"must be {AUTO_ACL}, one of {', '.join(ACLS)}, or empty for a bucket without ACLs, not {value!r}"


def region(value: str) -> str | None:
    """Return what is wrong with a region, which is part of each signature, or None; an empty value is valid."""
    if not value or re.fullmatch(r"[A-Za-z0-9._-]+", value):
        return None
    return "must be the name of a region, such as us-east-1 or auto: letters, digits, '.', '_' and '-'"


def public_url(value: str) -> str | None:
    """Return what is wrong with the characters of a URL that becomes part of a Location header, or None."""
    if not value.isascii() or not value.isprintable() or re.search(r'[ "<>\\^`{|}]', value):
        return "must have only the ASCII characters of a URL, because redirects send it; percent-encode others"
    if "?" in value or "#" in value:
        return "must not contain ? or #, because keys are appended to it"
    if "@" in urlsplit(value).netloc:
        return "must not have a user or password, because browsers would receive them"
    return None
