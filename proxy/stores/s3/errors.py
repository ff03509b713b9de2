"""Translation of the errors of S3 and its client into the service's own."""

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
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as ConnectingError
from botocore.parsers import ResponseParserError

from proxy.errors import ImagesError, NotFound, StoreRefused, StoreUnavailable
from proxy.stores.headers import PASSING_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Failures of the request or the response in transit: none of them concerns the requested object itself.
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

# Codes of transient failures whose status (400, 403, 409) does not show it.
_PASSING_CODES: Final = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "OperationAborted",
        "RequestTimeout",
        "SlowDown",
        "XAmzContentSHA256Mismatch",
    }
)

_ELSEWHERE: Final = "The bucket is in another region or at another endpoint: check AWS_REGION and S3_ENDPOINT_URL."
_KEYS: Final = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."

_HINTS: Final = {
    "AccessControlListNotSupported": "The bucket does not support ACLs: leave S3_ACL empty, and make the bucket "
    "public with a policy.",
    "AccessDenied": "Its policy must allow the operation, s3:PutObjectAcl if S3_ACL is set, and s3:ListBucket, without "
    "which a missing key looks like a forbidden one.",
    "AuthorizationHeaderMalformed": "Check AWS_REGION.",
    "ExpiredToken": "The session token has expired: renew AWS_SESSION_TOKEN.",
    "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID.",
    "InvalidArgument": "Check S3_ACL: it must be one of S3's canned ACLs, or empty.",
    "NoSuchBucket": "Check STORE or S3_BUCKET.",
    "NotImplemented": "The server does not support the request: leave S3_ACL empty, set CONDITIONAL_WRITES to false.",
    "PermanentRedirect": _ELSEWHERE,
    "RequestTimeTooSkewed": "Check this machine's clock.",
    "SignatureDoesNotMatch": "Check AWS_SECRET_ACCESS_KEY.",
}


_PRECLUDED: Final = {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}

_MISSING: Final = {
    NoCredentialsError: _KEYS,
    PartialCredentialsError: _KEYS,
    NoRegionError: "Set AWS_REGION.",
}


class Denied(StoreRefused):
    """The credentials are valid but lack a permission."""


class Precluded(StoreRefused):
    """A precondition failed: the key of a `put_new` exists, or the blob is not the expected one."""


@contextmanager
def s3_errors(bucket: str) -> Iterator[None]:
    """Translate the errors of S3 and its client within the block; `bucket` names the bucket in messages."""
    try:
        yield
    except ClientError as error:
        raise _translated(error, bucket) from error
    except _PASSING as error:
        raise StoreUnavailable(
            f"The {bucket} is unreachable, or the connection failed ({type(error).__name__}); if this persists, check "
            "S3_ENDPOINT_URL."
        ) from error
    except BotoCoreError as error:
        hint = next((hint for kind, hint in _MISSING.items() if isinstance(error, kind)), "")
        raise StoreRefused(f"The {bucket} cannot be used: {str(error).rstrip('.')}. {hint}".rstrip()) from error
    except ValueError as error:  # an invalid date or number in a response that botocore parses
        raise StoreUnavailable(f"The {bucket} returned an invalid response: {error}.") from error


def _translated(error: ClientError, bucket: str) -> ImagesError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Not by the code alone: a proxy in front of the bucket may return an HTML page without one.
    if code == "NoSuchKey" or (status == HTTPStatus.NOT_FOUND and code != "NoSuchBucket"):
        return NotFound("No file exists under this key.")
    said = f"{code or 'no error code'} ({status})"
    if code in _PASSING_CODES or status in PASSING_STATUSES:
        return StoreUnavailable(f"The {bucket} is temporarily unavailable: {said}.")
    hint = _HINTS.get(code, _ELSEWHERE if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST else "")
    precluded = Precluded if status in _PRECLUDED else StoreRefused
    refused = Denied if code == "AccessDenied" else precluded
    return refused(f"The {bucket} rejected the request: {said}. {hint}".rstrip())
