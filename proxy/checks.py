"""What is wrong with the value of a setting: a sentence, or None."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from proxy.errors import BadKey
from proxy.keys.shadow import REPLACED
from proxy.keys.syntax import check_key
from proxy.queues.address import SCHEMES, address_fault
from proxy.webhooks.allowlist import listed

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVER = re.compile(r"\w+://(([^/?#@%]|{0})*@)?[^/?#@%]*([/?#]([^@%]|{0})*)?".replace("{0}", "%(?!00)[0-9A-Fa-f]{2}"))
"""An address in which nothing of a password can be taken for something else: the servers' clients quote that."""

SECRET_BYTES = 24
"""The fewest bytes of a secret that the Standard Webhooks scheme allows."""


def between(low: float, high: float) -> Callable[[float], str | None]:
    """Refuse what is not between two numbers."""
    return lambda value: None if low <= value <= high else f"must be between {low:g} and {high:g}, not {value:g}"


def zero_or(low: float, high: float) -> Callable[[float], str | None]:
    """Refuse what is neither 0 nor between two numbers."""
    return lambda value: (
        None if value == 0 or low <= value <= high else f"must be 0 or between {low:g} and {high:g}, not {value:g}"
    )


def one_of(*words: str) -> Callable[[str], str | None]:
    """Refuse what is none of these words."""
    return lambda value: None if value in words else f"must be one of {', '.join(words)}, not {value!r}"


def queue(value: str) -> str | None:
    """Name what is wrong with a queue's address, without quoting it: it may hold a password."""
    if value.startswith(SCHEMES) and not value.startswith("sqlite") and not _SERVER.fullmatch(value):
        return "must have each % @ / ? # of its user and password percent-encoded: %25 %40 %2F %3F %23"
    return address_fault(value)


def secrets(value: str) -> str | None:
    """Name the first secret that is none of the Standard Webhooks scheme."""
    told = split(value)
    if value and not told:
        return "must hold a secret, or be empty"
    for number, secret in enumerate(told, start=1):
        if not secret.startswith("whsec_") or len(_key(secret.removeprefix("whsec_"))) < SECRET_BYTES:
            return f"number {number} must be whsec_ and then at least {SECRET_BYTES} random bytes in base64"
    return None


def _key(encoded: str) -> bytes:
    try:
        padding = "" if encoded.endswith("=") else "=" * (-len(encoded) % 4)
        return base64.b64decode(encoded + padding, validate=True)  # else what is no base64 would be passed over
    except ValueError:  # not base64, not even ASCII
        return b""


def prefix(value: str) -> str | None:
    """Name what is wrong with what keys are to begin with; nothing is."""
    if not value:
        return None
    if value == REPLACED:
        return f"must not be {REPLACED}, where a promotion keeps what it replaces"
    try:
        check_key(value.removesuffix("/"))
    except BadKey as fault:
        return f"cannot be what keys begin with: {fault}"
    return None if value.endswith("/") else "must end with /"


def hosts(value: str) -> str | None:
    """Name the first place that is no place for callbacks, without quoting it: whole addresses may hold a secret."""
    for number, entry in enumerate(split(value), start=1):
        try:
            listed([entry])
        except ValueError:
            return f"number {number} is no host, address or network"
    return None


def split(value: str) -> list[str]:
    """Split a list by comma, without the blanks around its entries."""
    return [entry.strip() for entry in value.split(",") if entry.strip()]
