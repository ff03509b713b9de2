"""The syntax of keys, and their encoding in URLs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from proxy.errors import BadKey

MAX_KEY_BYTES: Final = 1024
"""The longest key that S3 accepts, in bytes of UTF-8, and so the limit of every store."""

_SHOWN_CHARACTERS = 80
_CONTROL, _SURROGATE = re.compile(r"[\x00-\x1f\x7f-\x9f]"), re.compile(r"[\ud800-\udfff]")
_MALFORMED_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def check_key(key: str) -> None:
    """Raise if `key` is not valid in every store.

    Raises:
        BadKey: `key` is invalid; the message describes the fault.
    """
    if fault := _fault(key):
        raise BadKey(f"The key {shown(key)} {fault}.")


def decode_path(raw: bytes) -> str:
    """Return a URL's path with its percent escapes decoded exactly once; `+` stays `+`.

    Raises:
        BadKey: an escape is malformed, or the bytes are not UTF-8.
    """
    if malformed := _MALFORMED_ESCAPE.search(raw):
        raise BadKey(
            f"The '%' at byte {malformed.start()} of the path is not followed by two hexadecimal digits; "
            "encode a literal '%' as '%25'."
        )
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise BadKey(
            f"The decoded path is not valid UTF-8 at byte {error.start}; percent-encode the key as UTF-8."
        ) from error


def url(base: str, key: str) -> str:
    """Return the URL of `key` under `base`, escaped so that `decode_path` returns the key."""
    return f"{base.rstrip('/')}/{_quoted(key)}"


@lru_cache(maxsize=256)
def _quoted(key: str) -> str:
    """Return a key as it is in a URL: the description of a picture has that of each derivative several times."""
    return quote(key, safe="/")


def shown(name: str) -> str:
    """Return a key or a name for a message: escaped to ASCII and truncated to 80 characters."""
    return ascii(name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}...")


def _fault(key: str) -> str | None:
    if not key:
        return "is empty; send that of an original"
    if _SURROGATE.search(key):
        return "contains an unpaired surrogate, which UTF-8 cannot encode"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"is longer than {MAX_KEY_BYTES} bytes of UTF-8"
    if _CONTROL.search(key):
        return "contains a control character"
    if key.startswith("/") or key.endswith("/"):
        return "starts or ends with '/'; send the key without it"
    return _segment_fault(key.split("/"))


def _segment_fault(segments: list[str]) -> str | None:
    if "" in segments:
        is_url = segments[0].endswith(":") and not segments[1]
        return f"contains '//', an empty segment; send {'a key, not a URL' if is_url else 'the key without it'}"
    if "." in segments or ".." in segments:
        return "contains a segment '.' or '..'; send the key without it"
    return None
