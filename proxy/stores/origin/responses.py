"""Conversion of a public HTTP server's responses to blobs and errors."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from proxy.errors import StoreRefused, StoreUnavailable, UnfitKey
from proxy.stores.base import UNKNOWN_LENGTH, UNKNOWN_TYPE, Blob
from proxy.stores.headers import METADATA_PREFIX, PASSING_STATUSES, bare, md5s_in, stored_attributes, unescaped
from proxy.stores.ranges import parse_content_range

if TYPE_CHECKING:
    import httpx

    from proxy.errors import StoreError

_LENGTH: Final = re.compile(r"[0-9]{1,15}")


def shown(url: httpx.URL) -> str:
    """Return the scheme, host and port of a URL for messages, without user, password and path."""
    return f"{url.scheme}://{url.netloc.decode()}"


_UNFIT_KEY: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_URI_TOO_LONG})
"""What a server responds to a URL that it does not accept: too long, or with a character that it does not allow."""


def unfit(answer: httpx.Response, *, is_key: bool = True) -> StoreError:
    """Return the error for a response that is neither a blob nor a miss; `is_key`: the request was for a real key."""
    if is_key and answer.status_code in _UNFIT_KEY:
        return UnfitKey(
            f"The image store does not accept this key ({answer.status_code}); choose a shorter or simpler one."
        )
    said = f"The origin {shown(answer.url)} responded with {answer.status_code}"
    if answer.status_code in PASSING_STATUSES:
        return StoreUnavailable(f"{said}: it is temporarily unavailable.")
    return StoreRefused(
        f"{said}, not with a plain file of known length: check ORIGINALS_BASE_URL.", brief=str(answer.status_code)
    )


def blob_of(key: str, answer: httpx.Response, *, length: int | None = None) -> Blob:
    """Return the blob that the response to a HEAD or a GET describes.

    A response in chunks, or to a HEAD, may have no length, which then is `UNKNOWN_LENGTH`. `length` is the number of
    bytes that arrived.

    Raises:
        StoreError: the response is not a plain file, or a broken connection would look like its end.
    """
    headers = answer.headers
    announced = headers.get("Content-Length", "") if length is None else str(length)
    is_partial = answer.status_code == HTTPStatus.PARTIAL_CONTENT
    if is_partial and (content_range := parse_content_range(headers.get("Content-Range", ""))):
        announced = str(content_range.whole)
    elif answer.status_code != HTTPStatus.OK:
        raise unfit(answer)
    is_unknown = not announced and not is_partial and _may_lack_length(answer)
    if not (is_unknown or _LENGTH.fullmatch(announced)) or "Content-Encoding" in headers:
        raise unfit(answer)
    modified = headers.get("Last-Modified", "")
    return Blob(
        key=key,
        bytes=UNKNOWN_LENGTH if is_unknown else int(announced),
        etag=bare(headers.get("ETag", "")) or f"{modified}-{announced}".replace(" ", "-"),
        modified=_date(modified),
        attributes=stored_attributes(
            headers.get("Content-Type", UNKNOWN_TYPE),
            headers.get("Cache-Control"),
            unescaped(
                {
                    name.removeprefix(METADATA_PREFIX): value
                    for name, value in headers.items()
                    if name.startswith(METADATA_PREFIX)
                }
            ),
        ),
    )


def _may_lack_length(answer: httpx.Response) -> bool:
    """Return whether a length is not needed: chunks have an end of their own, and a HEAD has no body."""
    return answer.request.method == "HEAD" or answer.headers.get("Transfer-Encoding", "").strip().lower() == "chunked"


def md5s_of(answer: httpx.Response) -> tuple[str, ...]:
    """Return the MD5 that the bytes must have, or nothing if the ETag is not an MD5, as with KMS encryption."""
    encrypted = answer.headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    return () if encrypted else md5s_in(answer.headers.get("ETag", ""))


def _date(told: str) -> datetime:
    try:
        date = parsedate_to_datetime(told)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
