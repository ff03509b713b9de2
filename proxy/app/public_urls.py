"""The URLs at which browsers read the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.keys.addresses import PublicAddresses

if TYPE_CHECKING:
    from proxy.settings.settings import Settings


def public_base_url(settings: Settings) -> str:
    """Return the base URL at which browsers read the store; a path of this service is below `BASE_PATH`."""
    is_path = settings.public_base_url.startswith("/")
    return settings.base_path + settings.public_base_url if is_path else settings.public_base_url


def absolute_base_url(settings: Settings) -> str:
    """Return the same base URL with the service's public origin, if that is known, for jobs and their callbacks."""
    base = public_base_url(settings)
    return settings.public_origin + base if base.startswith("/") else base


def public_addresses(settings: Settings, *, is_absolute: bool = False) -> PublicAddresses:
    """Return the addresses at which browsers read the store; absolute ones if the public origin is known."""
    base = absolute_base_url(settings) if is_absolute else public_base_url(settings)
    return PublicAddresses(base, has_versions=settings.versioned_redirects)
