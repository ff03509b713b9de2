"""Construction of the client for the CDN that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.removal.cdn.address import parse_address
from proxy.removal.cdn.public_host import PublicHostPurger

if TYPE_CHECKING:
    from proxy.removal.cdn.address import CdnAddress
    from proxy.removal.cdn.base import CdnPurger


def purger_from(address: str, *, token: str, check_url: str, has_versions: bool = False) -> CdnPurger | None:
    """Return the purger for a valid value of CDN_PURGE, or None for an empty one.

    Args:
        address: The value of CDN_PURGE.
        token: The value of CDN_PURGE_TOKEN.
        check_url: A public URL of which no one needs a copy, which `check` purges. Only URLs on its host are purged.
        has_versions: Whether public URLs end in a version; only CloudFront removes the copies of all versions.
    """
    if not address:
        return None
    client = _client(parse_address(address), token, check_url, has_versions=has_versions)
    return PublicHostPurger(client, public_url=check_url)


def _client(address: CdnAddress, token: str, check_url: str, *, has_versions: bool) -> CdnPurger:
    # Each is imported only where it is used: httpx and botocore cost memory that a service without a CDN saves.
    if address.provider == "cloudfront":
        from proxy.removal.cdn.cloudfront import REGION, CloudFrontPurger  # noqa: PLC0415 - see above
        from proxy.stores.s3.signing import RequestSigner  # noqa: PLC0415 - see above

        signer = RequestSigner(service="cloudfront", region=REGION)
        return CloudFrontPurger(address.target, signer=signer, check_url=check_url, has_versions=has_versions)
    if address.provider == "cloudflare":
        from proxy.removal.cdn.cloudflare import CloudflarePurger  # noqa: PLC0415 - see above

        return CloudflarePurger(address.target, token=token, check_url=check_url)
    if address.provider == "fastly":
        from proxy.removal.cdn.fastly import FastlyPurger  # noqa: PLC0415 - see above

        return FastlyPurger(address.target, token=token)
    from proxy.removal.cdn.url_template import UrlPurger  # noqa: PLC0415 - see above

    return UrlPurger(address.target, token=token, check_url=check_url)
