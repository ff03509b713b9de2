"""Conversion of a public HTTP server's responses to blobs and errors."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.base import UNKNOWN_TYPE, Blob
from proxy.stores.headers import METADATA_PREFIX, PASSING_STATUSES, bare, md5s_in, stored_attributes, unescaped
from proxy.stores.ranges import parse_content_range

if TYPE_CHECKING:
    import httpx

    from proxy.errors import StoreError

_LENGTH: Final = re.compile(r"[0-9]{1,15}")


def shown(url: httpx.URL) -> str:
    """Return the scheme, host and port of a URL for messages, without user, password and path."""
    return f"{url.scheme}://{url.netloc.decode()}"


def unfit(answer: httpx.Response) -> StoreError:
    """Return the error for a response that is neither a blob nor a miss."""
    said = f"The origin {shown(answer.url)} responded with {answer.status_code}"
    if answer.status_code in PASSING_STATUSES:
        return StoreUnavailable(f"{said}: it is temporarily unavailable.")
    return StoreRefused(f"{said}, not with a plain file of known length: check ORIGINALS_BASE_URL.")


def blob_of(key: str, answer: httpx.Response) -> Blob:
    """Return the blob that the response to a HEAD or a GET describes.

    Raises:
        StoreError: the response is not a plain file of a known length.
    """
    headers = answer.headers
    length = headers.get("Content-Length", "")
    is_partial = answer.status_code == HTTPStatus.PARTIAL_CONTENT
    if is_partial and (content_range := parse_content_range(headers.get("Content-Range", ""))):
        length = str(content_range.whole)
    elif answer.status_code != HTTPStatus.OK:
        raise unfit(answer)
    if not _LENGTH.fullmatch(length) or "Content-Encoding" in headers:
        raise unfit(answer)
    modified = headers.get("Last-Modified", "")
    return Blob(
        key=key,
        bytes=int(length),
        etag=bare(headers.get("ETag", "")) or f"{modified}-{length}".replace(" ", "-"),
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


def md5s_of(answer: httpx.Response) -> tuple[str, ...]:
    """Return the MD5 that the bytes must have, or nothing if the ETag is not an MD5, as with KMS encryption."""
    encrypted = answer.headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    return () if encrypted else md5s_in(answer.headers.get("ETag", ""))


def _date(told: str) -> datetime:
    try:
        date = parsedate_to_datetime(told)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return date if date.tzinfo else date.replace(tzinfo=UTC)
