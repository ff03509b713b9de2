"""Validation of queue URLs, before any connection is opened."""

from __future__ import annotations

import re
from importlib.util import find_spec
from urllib.parse import urlsplit

SCHEMES = ("sqlite:///", "redis://", "rediss://", "postgresql://", "postgres://")
"""The accepted prefixes of a queue URL."""

_DATABASE = re.compile(r"/?[0-9]*")

_NEEDS = {"redis": ("redis", ("redis",)), "postgres": ("postgres", ("psycopg", "psycopg_pool"))}
"""Prefix of a scheme -> the extra of this distribution, and the packages that the extra installs."""


def missing_extra(url: str) -> str | None:
    """Return a message on how to install the extra that `url` needs; None if it is installed."""
    for start, (extra, packages) in _NEEDS.items():
        if url.startswith(start) and not all(find_spec(package) for package in packages):
            scheme = url.partition("://")[0]
            return f"QUEUE={scheme}:// needs the {extra} extra: pip install 'gallformers-images[{extra}]'"
    return None


def address_fault(url: str) -> str | None:
    """Return what is wrong with a queue URL; None if it is valid.

    The message never quotes the URL, which may hold a password.
    """
    if not url.startswith(SCHEMES) or url in SCHEMES:
        return f"must start with one of {', '.join(SCHEMES)}, followed by a file or a host"
    return None if url.startswith("sqlite") else missing_extra(url) or server_fault(url)


def server_fault(url: str) -> str | None:
    """Return what is wrong with a server's URL according to its client library; None if it is valid.

    The message never quotes the URL, which may hold a password.
    """
    # Client libraries are imported only where they are needed. They cost memory, which the embedded queue saves, and
    # they may not be installed.
    return _redis_fault(url) if url.startswith("redis") else _postgres_fault(url)


def _redis_fault(url: str) -> str | None:
    """Return what is wrong with a Redis URL, without quoting it; None if it is valid."""
    from redis.asyncio.connection import parse_url  # noqa: PLC0415 - see `server_fault`

    try:
        parts = urlsplit(url)
        parse_url(url)  # validates the options
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number or too large, or an option of the wrong type
        is_whole = False
    # The client silently uses database 0 if the database is not a number.
    if is_whole and _DATABASE.fullmatch(parts.path) and not parts.fragment:
        return None
    return (
        "must be a URL such as redis://<user>:<password>@<host>:<port>/<database number>, "
        "with special characters of the password percent-encoded"
    )


def _postgres_fault(url: str) -> str | None:
    """Return what is wrong with a PostgreSQL URL; None if it is valid.

    The message never quotes the URL, unlike libpq's own message.
    """
    from psycopg import ProgrammingError  # noqa: PLC0415 - see `server_fault`
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - see `server_fault`

    try:
        ports = str(conninfo_to_dict(url).get("port", ""))
    except ProgrammingError:
        ports = "none"
    # libpq validates ports only when it connects. A URL with several hosts may have several ports.
    if all(not port or (port.isdecimal() and 0 < int(port) < 1 << 16) for port in ports.split(",")):
        return None
    return (
        "must be a URL such as postgresql://<user>:<password>@<host>:<port>/<database>, "
        "with special characters of the password percent-encoded (% is %25), and with options that libpq supports"
    )
