"""Validators of settings, each of which returns a sentence about what is wrong with a value, or None."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pipeline.formats.registry import content_type_of
from proxy.errors import BadKey
from proxy.keys.shadow import REPLACED
from proxy.keys.syntax import check_key
from proxy.queues.address import SCHEMES, address_fault
from proxy.settings.header_values import public_url
from proxy.webhooks.allowlist import parse_allow_list

_SERVER = re.compile(r"\w+://(([^/?#@%]|{0})*@)?[^/?#@%]*([/?#]([^@%]|{0})*)?".replace("{0}", "%(?!00)[0-9A-Fa-f]{2}"))
"""A server's URL whose password has its special characters percent-encoded, so that it cannot be misparsed.

Client libraries quote what they cannot parse in their errors, which would reveal parts of the password.
"""

HIGHEST_PORT = 65_535

FALLBACK_BYTES = 256 << 10
"""The largest picture for errors, in bytes: a page may get one for each of its pictures."""

DISPLAYED: Final = ("image/jpeg", "image/png", "image/webp", "image/avif", "image/gif")
"""The content types that browsers display."""

SECRET_BYTES = 24
"""The shortest secret, in bytes, that the Standard Webhooks scheme allows."""

PASSWORD_CHARACTERS = 12
"""The shortest password of the pages."""

SCRYPT: Final = "scrypt:"
"""How the hash of a password begins."""

_SCRYPT_HASH = re.compile(
    r"scrypt:(16384|32768|65536):(8|16):([1-9]|1[0-6]):[A-Za-z0-9+/]{22,88}={0,2}:[A-Za-z0-9+/]{43}="
)
"""Costs between 16 and 128 MiB, a salt of at least 16 bytes, a hash of 32 bytes."""

DISTINCT_BYTES = 8
"""The fewest different bytes of a secret. Of 24 random bytes, fewer are different once in 10^24 times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRange:
    """A validator for numbers from `low` to `high`, both included, and for 0 if `or_zero`."""

    low: float
    high: float
    or_zero: bool = False

    def __call__(self, value: float) -> str | None:
        """Return what is wrong with a number, or None."""
        if self.low <= value <= self.high or (self.or_zero and value == 0):
            return None
        return f"must be {'0 or ' * self.or_zero}between {self.low:.15g} and {self.high:.15g}, not {value:.15g}"

    def __str__(self) -> str:
        """Return the valid numbers, for the documentation."""
        return f"{'0, or ' * self.or_zero}{self.low:,} to {self.high:,}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """A validator that accepts only `words`."""

    words: tuple[str, ...]

    def __call__(self, value: str) -> str | None:
        """Return what is wrong with a word, or None."""
        return None if value in self.words else f"must be one of {', '.join(self.words)}, not {value!r}"

    def __str__(self) -> str:
        """Return the valid words, for the documentation."""
        *others, last = (f"`{word}`" for word in self.words)
        return f"{', '.join(others)} or {last}"


def between(low: float, high: float) -> NumberRange:
    """Return a validator for numbers from `low` to `high`, both included."""
    return NumberRange(low=low, high=high)


def zero_or(low: float, high: float) -> NumberRange:
    """Return a validator for 0 and for numbers from `low` to `high`, both included."""
    return NumberRange(low=low, high=high, or_zero=True)


def one_of(*words: str) -> OneOf:
    """Return a validator that accepts only `words`."""
    return OneOf(words)


def valid_values(check: object) -> str:
    """Return what a validator accepts, or nothing if only a sentence could describe it."""
    return str(check) if isinstance(check, NumberRange | OneOf) else ""


def host(value: str) -> str | None:
    """Return what is wrong with the address to listen on, or None; only the system knows whether it is its own."""
    try:
        value.encode("idna")
    except UnicodeError:
        return "must be an address or a host name, such as 127.0.0.1, 0.0.0.0 or ::"
    return None


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach an address or a host name."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def queue(value: str) -> str | None:
    """Return what is wrong with a queue's URL, or None.

    The URL is not quoted, because it may contain a password.
    """
    if value.startswith(SCHEMES) and not value.startswith("sqlite") and not _SERVER.fullmatch(value):
        return "must have each % @ / ? # of its user name and password percent-encoded: %25 %40 %2F %3F %23"
    return address_fault(value)


def fallback_image(value: str) -> str | None:
    """Return what is wrong with the file of the picture for errors, or None."""
    if not value:
        return None
    try:
        with Path(value).open("rb") as file:
            body = file.read(FALLBACK_BYTES + 1)
    except OSError as fault:
        return f"{value} cannot be read: {fault.strerror}"
    if content_type_of(body) not in DISPLAYED:
        return f"{value} must be a JPEG, PNG, WebP, AVIF or GIF"
    return f"{value} must have at most {FALLBACK_BYTES >> 10} KiB" if len(body) > FALLBACK_BYTES else None


def ui_password(value: str) -> str | None:
    """Return what is wrong with the password of the pages, or with its hash, or None; the value is never quoted."""
    if value.startswith(SCRYPT):
        return (
            None if _SCRYPT_HASH.fullmatch(value) else f"must be {SCRYPT}<n>:<r>:<p>:<salt>:<hash> as docs/ui.md has it"
        )
    if value and len(value) < PASSWORD_CHARACTERS:
        return f"must have at least {PASSWORD_CHARACTERS} characters, or be empty"
    return None


def secrets(value: str) -> str | None:
    """Return what is wrong with the first secret that violates the Standard Webhooks scheme or is weak, or None."""
    entries = split(value)
    if value and not entries:
        return "must contain a secret, or be empty"
    keys: list[bytes] = []
    for number, secret in enumerate(entries, start=1):
        key = _key(secret.removeprefix("whsec_"))
        if not secret.startswith("whsec_") or len(key) < SECRET_BYTES:
            comma = ", and a comma before the next one" if " " in secret else ""
            return (
                f"entry {number} must be whsec_ followed by at least {SECRET_BYTES} random bytes in base64{comma}; "
                "`gf-images secret` prints one"
            )
        if len({*key}) < DISTINCT_BYTES:
            return f"entry {number} must be random; `gf-images secret` prints one"
        if key in keys:
            return f"entry {number} repeats entry {keys.index(key) + 1}; remove one of them"
        keys.append(key)
    return None


def _key(encoded: str) -> bytes:
    try:
        padding = "" if encoded.endswith("=") else "=" * (-len(encoded) % 4)
        return base64.b64decode(encoded + padding, validate=True)  # or other characters would be ignored
    except ValueError:  # not base64, or not even ASCII
        return b""


def prefix(value: str) -> str | None:
    """Return what is wrong with a prefix of keys, or None; an empty prefix is valid."""
    if not value:
        return None
    if value == REPLACED:
        return f"must not be {REPLACED}, where `promote` keeps the derivatives that it replaces; choose another one"
    try:
        check_key(value.removesuffix("/"))
    except BadKey as fault:
        return f"must be a valid prefix of keys: {fault}"
    return None if value.endswith("/") else "must end with /"


def hosts(value: str) -> str | None:
    """Return what is wrong with the first invalid entry of the callback allow-list, or None.

    The entry is not quoted, because a full URL may contain a secret.
    """
    for number, entry in enumerate(split(value), start=1):
        try:
            parse_allow_list([entry])
        except ValueError:
            return f"entry {number} must be a host, an address or a network; see Callbacks in docs/reference/http.md"
    return None


def split(value: str) -> list[str]:
    """Return the entries of a comma-separated list, without surrounding blanks and without empty entries."""
    return [entry.strip() for entry in value.split(",") if entry.strip()]


# What botocore accepts as the name of a bucket or the ARN of an access point.
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:[A-Za-z0-9:/_-]+")

_BASE_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")

_PASSWORDS: Final = re.compile(r"(://[^:/?#@]*:).*(?=@)|(password=)[^&]*")
"""Passwords between user and host, whatever characters they contain, and passwords among the options."""


def mask_passwords(value: str) -> str:
    """Return a URL with its passwords replaced by `***`."""
    return _PASSWORDS.sub(lambda found: f"{found[1] or found[2]}***", value)


def web_fault(value: str) -> str | None:
    """Return what is wrong with the base URL of files, or None; an empty URL is valid."""
    if not value:
        return None
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, or a port that is not a number
        is_whole = False
    if not is_whole or re.search(r"[\s\x00-\x1f\x7f]", value):
        return "must start with http:// or https:// and a host"
    return "must not contain ? or #, because keys are appended to it" if "?" in value or "#" in value else None


def public_fault(value: str) -> str | None:
    """Return what is wrong with the base URL for browsers, or None; a path on this service is valid too."""
    if not value:
        return "must not be empty: set it to the URL at which browsers read the store, or to a path such as /files"
    if not value.startswith(("/", "http://", "https://")):
        return "must be a path such as /files, or start with http:// or https:// and a host"
    if not value.startswith("/") or value.startswith("//"):
        return web_fault(value) or public_url(value)
    return public_url(value)


def base_path(value: str) -> str | None:
    """Return what is wrong with a path prefix; None if it is empty or sound."""
    if not value or _BASE_PATH.fullmatch(value):
        return None
    return "must be empty, or begin with / and not end with it: letters, digits, '-', '.', '_', '~' and '/' only"


def endpoint_fault(value: str) -> str | None:
    """Return what is wrong with a bucket's endpoint URL, or None; an empty URL is valid."""
    if fault := web_fault(value):
        return fault
    if urlsplit(value).username is not None:
        return "must not contain a user name and password; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
    return None


def service_url(value: str) -> str | None:
    """Return what is wrong with the URL of a service, or None; an empty URL is valid."""
    if value and (web_fault(value) or urlsplit(value).username is not None):
        return (
            "must start with http:// or https:// and a host, such as http://127.0.0.1:8080, without a user name, ? or #"
        )
    return None


def bucket_fault(value: str) -> str | None:
    """Return what is wrong with a bucket's name, or None; an empty name is valid."""
    if not value or _BUCKET.fullmatch(value):
        return None
    return "must be the name of a bucket: letters, digits, '.', '_' and '-'"


def store_fault(value: str) -> str | None:
    """Return what is wrong with a store's URL, or None."""
    if value.startswith("s3://") and value != "s3://":
        return bucket_fault(value.removeprefix("s3://"))
    if value.startswith("file://") and value != "file://":
        return None
    return "must be file://<folder> or s3://<bucket>, such as file:///srv/images"


def probe_key(value: str) -> str | None:
    """Return what is wrong with the key of the write probe, or None."""
    try:
        check_key(value)
    except BadKey as error:
        return f"must be a key: {error}"
    if any(segment.startswith(".") for segment in value.split("/")):
        return "must have no segment that begins with a dot, because such files are not served"
    return None
