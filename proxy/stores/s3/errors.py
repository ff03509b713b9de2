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

from proxy.errors import ImagesError, NotFound, RefusedForAll, StoreDenied, StoreRefused, StoreUnavailable, UnfitKey
from proxy.stores.certificates import certificate_fault
from proxy.stores.headers import PASSING_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    "AccessControlListNotSupported": "The bucket does not support ACLs: set S3_ACL to auto or leave it empty, and make "
    "the bucket public with a policy.",
    "AccessDenied": "Its policy must allow the operation, s3:PutObjectAcl if S3_ACL is set, and s3:ListBucket, without "
    "which a missing key looks like a forbidden one.",
    "AuthorizationHeaderMalformed": "The region is wrong: check AWS_REGION.",
    "ExpiredToken": "The session token has expired: renew AWS_SESSION_TOKEN, or the credentials file, which is "
    "then read again.",
    "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID.",
    "InvalidArgument": "Check S3_ACL: it must be auto, one of S3's canned ACLs, or empty.",
    "NoSuchBucket": "Check STORE or S3_BUCKET.",
    "NotImplemented": "The server does not support the request: leave S3_ACL empty, set CONDITIONAL_WRITES to false.",
    "PermanentRedirect": _ELSEWHERE,
    "RequestTimeTooSkewed": "Check this machine's clock.",
    "SignatureDoesNotMatch": "Check AWS_SECRET_ACCESS_KEY.",
}

_UNFIT_CODES: Final = frozenset(
    {
        *("KeyTooLongError", "KeyTooLong", "InvalidObjectName", "InvalidURI"),
        *("XMinioInvalidObjectName", "XMinioInvalidResourceName"),
        *("XMinioObjectExistsAsDirectory", "XMinioParentIsObject"),
    }
)
"""Codes that are about the key alone: Amazon's, Ceph's and R2's, and MinIO's."""

_CUSTOMER_KEY: Final = "server side encryption"
"""What a server's message contains if a blob cannot be read without a key of the customer (SSE-C). The code is only
`InvalidRequest`."""

MAX_SHOWN: Final = 200
"""How many characters of a server's message are shown."""


_PRECLUDED: Final = {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}

_MISSING: Final = {
    NoCredentialsError: _KEYS,
    PartialCredentialsError: _KEYS,
    NoRegionError: "Set AWS_REGION.",
}


class AclRefused(StoreRefused):
    """The bucket or the server does not support ACLs."""


class Precluded(StoreRefused):
    """A precondition failed: the key of a `put_new` exists, or the blob is not the expected one."""


class CredentialsRefused(StoreRefused):
    """The credentials are not accepted: others may have been written to their file since.

    A wrong signature may also be the fault of one key, which a server encodes in another way.
    """


class CredentialsUnknown(CredentialsRefused, RefusedForAll):
    """The access key or its token is unknown, disabled or expired."""


_KINDS: Final[Mapping[str, type[StoreRefused]]] = {
    "AccessControlListNotSupported": AclRefused,
    "AccessDenied": StoreDenied,
    "ExpiredToken": CredentialsUnknown,
    "InvalidAccessKeyId": CredentialsUnknown,
    "InvalidToken": CredentialsUnknown,
    "NoSuchBucket": RefusedForAll,
    "NotImplemented": AclRefused,
    "RequestTimeTooSkewed": RefusedForAll,
    "SignatureDoesNotMatch": CredentialsRefused,
    "TokenRefreshRequired": CredentialsUnknown,
}
"""The errors of the codes that callers treat differently."""


@contextmanager
def s3_errors(bucket: str) -> Iterator[None]:
    """Translate the errors of S3 and its client within the block; `bucket` names the bucket in messages."""
    try:
        yield
    except ClientError as error:
        raise _translated(error, bucket) from error
    except _PASSING as error:
        if untrusted := certificate_fault(error):
            raise untrusted from error
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
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Not by the code alone: a proxy in front of the bucket may return an HTML page without one.
    if code == "NoSuchKey" or (status == HTTPStatus.NOT_FOUND and code != "NoSuchBucket"):
        return NotFound("No file exists under this key.")
    if unfit := _key_fault(code, status, message):
        return UnfitKey(unfit)
    said = f"{code or 'no error code'} ({status})"
    quoted = f"{said}: {_shown(message)}" if _shown(message) else f"{said}."
    if code in _PASSING_CODES or status in PASSING_STATUSES:
        return StoreUnavailable(f"The {bucket} is temporarily unavailable: {quoted}")
    hint = _HINTS.get(code, _ELSEWHERE if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST else "")
    refused = Precluded if status in _PRECLUDED else _KINDS.get(code, StoreRefused)
    return refused(f"The {bucket} rejected the request: {quoted} {hint}".rstrip(), brief=said)


def _key_fault(code: str, status: int, message: str) -> str | None:
    """Return what is wrong with one key, if the response is about that key alone; the text is for clients."""
    if code in _UNFIT_CODES or (status == HTTPStatus.REQUEST_URI_TOO_LONG and not code):
        return f"The image store does not accept this key ({code or status}); choose a shorter or simpler one."
    if status == HTTPStatus.BAD_REQUEST and _CUSTOMER_KEY in message.lower().replace("-", " "):
        return (
            "The file under this key is encrypted with a key of the customer (SSE-C), which this service does not "
            "have; store it without such a key."
        )
    return None


def _shown(message: str) -> str:
    """Return a server's message in one printable line that ends like a sentence, or an empty text."""
    line = " ".join("".join(one if one.isprintable() else " " for one in message).split())
    line = line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}..."
    return line if not line or line.endswith((".", "!", "?")) else f"{line}."
