"""Signature Version 4, computed from its specification alone.

The steps are those of the AWS Identity and Access Management User Guide, *Create a signed AWS API request*.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[0-9]{8}/[^/]+/[^/]+/aws4_request), "
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


def is_signed(
    *, method: str, path: str, headers: Mapping[str, str], body: bytes, secrets: Mapping[str, str], scope: str
) -> bool:
    """Return whether a request without a query is signed with one of `secrets`, by access key.

    Args:
        method: The method of the request.
        path: Its path, which has no character to encode.
        headers: All of its headers, by names in lower case.
        body: Its body.
        secrets: The secret of each access key.
        scope: The region and the service, such as `us-east-1/cloudfront`.
    """
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    date = headers.get("x-amz-date", "")
    if not found or found["scope"] != f"{date[:8]}/{scope}/aws4_request" or found["key"] not in secrets:
        return False
    names = found["names"].split(";")
    due = {"host", "x-amz-date"} | {"x-amz-security-token", "content-type"} & {*headers}
    if names != sorted(names) or not due <= {*names}:
        return False
    listed = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    canonical = "\n".join([method, path, "", listed, found["names"], hashlib.sha256(body).hexdigest()])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", date, found["scope"], digest])
    key = f"AWS4{secrets[found['key']]}".encode()
    for part in found["scope"].split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), found["signature"])
