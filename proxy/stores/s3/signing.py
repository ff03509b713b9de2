"""Signatures (Version 4) for plain requests to other services of Amazon, with the credentials of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.s3.credentials import RenewableCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.credentials import ReadOnlyCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeaders:
    """The headers of a signed request, and the credentials that signed it."""

    headers: Mapping[str, str]
    credentials: ReadOnlyCredentials


class RequestSigner:
    """Signs requests to one service in one region, with the credentials that botocore finds, as the store does."""

    def __init__(self, *, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._renewable: RenewableCredentials | None = None

    async def sign(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> SignedHeaders:
        """Return `headers` with the signature of a request.

        Raises:
            StoreRefused: there are no credentials.
            StoreUnavailable: the machine or the container does not return them now.
        """
        try:
            self._renewable = self._renewable or await RenewableCredentials.create()
            if self._renewable is None:
                raise StoreRefused("There are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
            credentials = await self._renewable.get_frozen_credentials()
        except BotoCoreError as error:
            raise StoreUnavailable(f"The credentials cannot be read ({type(error).__name__}).") from error
        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
        SigV4Auth(credentials, self._service, self._region).add_auth(request)
        return SignedHeaders(headers=dict(request.headers.items()), credentials=credentials)

    async def renew(self, refused: SignedHeaders) -> bool:
        """Read the credentials again, which a service refused; return whether there are others now."""
        return self._renewable is not None and await self._renewable.renew(refused.credentials)
