"""The address of a queue: what is wrong with it, told before anything is opened."""

from __future__ import annotations

import re
from importlib.util import find_spec
from urllib.parse import urlsplit

SCHEMES = ("sqlite:///", "redis://", "rediss://", "postgresql://", "postgres://")
"""How the URL of a queue begins."""

_DATABASE = re.compile(r"/?[0-9]*")

_NEEDS = {"redis": ("redis", ("redis",)), "postgres": ("postgres", ("psycopg", "psycopg_pool"))}
"""By the start of a scheme: the extra of this distribution, and what it installs."""


def missing_extra(url: str) -> str | None:
    """Tell how to install what the queue at `url` needs; None when it is there."""
    for start, (extra, packages) in _NEEDS.items():
        if url.startswith(start) and not all(find_spec(package) for package in packages):
            scheme = url.partition("://")[0]
            return f"QUEUE={scheme}:// needs the {extra} extra: pip install 'gallformers-images[{extra}]'"
    return None


def address_fault(url: str) -> str | None:
    """Tell what is wrong with the address of a queue, without quoting it: it may hold a password."""
    if not url.startswith(SCHEMES) or url in SCHEMES:
        return f"must begin with {', '.join(SCHEMES)} and go on"
    return None if url.startswith("sqlite") else missing_extra(url) or server_fault(url)


def server_fault(url: str) -> str | None:
    """Tell what is wrong with the address of a server, as its client reads it, without quoting it."""
    # Clients are imported only where they are needed: they cost memory that the embedded queue saves, and may be
    # missing.
    return _redis_fault(url) if url.startswith("redis") else _postgres_fault(url)


def _redis_fault(url: str) -> str | None:
    """Tell what is wrong with the address of a Redis, without quoting it."""
    from redis.asyncio.connection import parse_url  # noqa: PLC0415 - see `server_fault`

    try:
        parts = urlsplit(url)
        parse_url(url)  # its options
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number or too large, an option of another type
        is_whole = False
    # The client takes a database that is no number for database 0.
    if is_whole and _DATABASE.fullmatch(parts.path) and not parts.fragment:
        return None
    return (
        "must be an address such as redis://<user>:<password>@<host>:<port>/<number of the database>, "
        "what is special in the password percent-encoded"
    )


def _postgres_fault(url: str) -> str | None:
    """Tell what is wrong with the address of a PostgreSQL, without quoting it as libpq does."""
    from psycopg import ProgrammingError  # noqa: PLC0415 - see `server_fault`
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - see `server_fault`

    try:
        ports = str(conninfo_to_dict(url).get("port", ""))
    except ProgrammingError:
        ports = "none"
    # libpq finds out about a port only when it connects; there may be several, as there may be several hosts.
    if all(not port or (port.isdecimal() and 0 < int(port) < 1 << 16) for port in ports.split(",")):
        return None
    return (
        "must be an address such as postgresql://<user>:<password>@<host>:<port>/<database>, "
        "what is special in the password percent-encoded (% is %25), with options that libpq knows"
    )
