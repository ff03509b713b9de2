"""What S3 can say against us, in our words."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
from botocore.exceptions import ConnectionError as ConnectingError
from botocore.parsers import ResponseParserError

from proxy.errors import ImagesError, NotFound, StoreRefused, StoreUnavailable
from proxy.stores.base import AlreadyThere
from proxy.stores.headers import PASSING_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator

# None of these tells of the thing asked for: the way there failed, or the way back.
_PASSING: Final = (
    HTTPClientError,
    ConnectingError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    ChecksumError,
    FlexibleChecksumError,
    IncompleteReadError,
    ResponseParserError,
    aiohttp.ClientError,
    ConnectionError,
)

# Codes that pass although their status (400, 403, 409) does not say so.
_PASSING_CODES: Final = frozenset(
    {"BadDigest", "ConditionalRequestConflict", "IncompleteBody", "OperationAborted", "RequestTimeout", "SlowDown"}
)

_HINTS: Final = {
    "AccessControlListNotSupported": "The bucket takes no ACLs: set S3_ACL to nothing and make it public by a policy.",
    "AccessDenied": "Its policy must allow this: also s3:PutObjectAcl while S3_ACL is set, and s3:ListBucket, without "
    "which a key that is not there looks like one that is forbidden.",
    "AuthorizationHeaderMalformed": "Check AWS_REGION.",
    "ExpiredToken": "The session token is too old.",
    "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID.",
    "NoSuchBucket": "Check S3_BUCKET.",
    "NotImplemented": "It does not know what was asked of it.",
    "PermanentRedirect": "The bucket is elsewhere: check AWS_REGION and S3_ENDPOINT_URL.",
    "RequestTimeTooSkewed": "Check this machine's clock.",
    "SignatureDoesNotMatch": "Check AWS_SECRET_ACCESS_KEY.",
}


class Denied(StoreRefused):
    """The credentials are good, but may not do this."""


@contextmanager
def s3_errors() -> Iterator[None]:
    """Turn every error of S3 and its client into one of ours."""
    try:
        yield
    except ClientError as error:
        raise _translated(error) from error
    except _PASSING as error:
        raise StoreUnavailable(f"The store cannot be reached, or broke off ({type(error).__name__}).") from error
    except BotoCoreError as error:
        raise StoreRefused(f"The store cannot be asked: {error}") from error


def _translated(error: ClientError) -> ImagesError | AlreadyThere:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in {"NoSuchKey", "404"}:
        return NotFound("Nothing is under that key.")
    if status == HTTPStatus.PRECONDITION_FAILED:
        return AlreadyThere()
    said = f"{code} ({status})"
    if code in _PASSING_CODES or status in PASSING_STATUSES:
        return StoreUnavailable(f"The store cannot do it now: {said}.")
    refused = Denied if code == "AccessDenied" else StoreRefused
    return refused(f"The store refuses: {said}. {_HINTS.get(code, '')}".rstrip())
