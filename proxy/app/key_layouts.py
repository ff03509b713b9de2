"""The layouts of keys, and the prefixes of originals, that the settings define."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from proxy.keys.shadow import REPLACED, Shadow
from proxy.keys.where import layout_of, outermost
from proxy.settings.validators import split

if TYPE_CHECKING:
    from proxy.keys.layouts import Layout
    from proxy.keys.where import LayoutName
    from proxy.settings.settings import Settings


def written_layout(settings: Settings) -> Layout:
    """Return the layout of the keys under which derivatives are written: the live keys, or those of a shadow."""
    return _below(settings.shadow_prefix, settings) if settings.shadow_prefix else live_layout(settings)


def former_layouts(settings: Settings) -> tuple[Shadow, ...]:
    """Return the layouts under which derivatives may exist that are not served: of a former shadow, or replaced."""
    prefixes = {REPLACED, settings.former_shadow_prefix} - {"", settings.shadow_prefix}
    return tuple(_below(prefix, settings) for prefix in sorted(prefixes))


def _below(prefix: str, settings: Settings) -> Shadow:
    return Shadow(live=live_layout(settings), prefix=prefix)


def live_layout(settings: Settings) -> Layout:
    """Return the layout of the live keys, which browsers read even while derivatives are written to a shadow."""
    return layout_of(
        {size.name: size.format for size in settings.sizes},
        settings.where,
        key_layout=cast("LayoutName", settings.key_layout),
        originals_prefixes=originals_prefixes(settings),
        reserved=settings.probe_key,
    )


def originals_prefixes(settings: Settings) -> tuple[str, ...]:
    """Return the prefixes of the keys of all originals, in the order in which stores list keys; one at least."""
    return outermost(split(settings.originals_prefix)) or ("",)


def walked_prefixes(prefix: str | None, settings: Settings) -> tuple[str, ...]:
    """Return the prefixes below which a run looks for originals: that of its option, or those of the settings."""
    return originals_prefixes(settings) if prefix is None else (prefix,)
