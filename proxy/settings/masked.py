"""Settings as people may see them: secrets and passwords are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.settings.settings import list_settings
from proxy.settings.validators import mask_passwords

if TYPE_CHECKING:
    from proxy.settings.settings import Setting, Settings


def masked_values(settings: Settings) -> dict[str, object]:
    """Return the value of every setting by its name, with secrets masked."""
    return {one.name: _masked(getattr(settings, one.name.lower()), one) for one in list_settings()}


def _masked(value: object, setting: Setting) -> object:
    if setting.is_secret and value:
        return "***"
    return mask_passwords(value) if isinstance(value, str) else value
