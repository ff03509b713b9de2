"""Prefixes whose originals exist at sizes, or in a layout, of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from proxy.keys.layouts import PrefixLayout, SiteLayout

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.size import OutputFormat
    from proxy.keys.layouts import Layout

LayoutName = Literal["site", "prefix"]
"""The values of `KEY_LAYOUT`, and of `layout` in a `[[where]]` table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What is particular to originals whose keys begin with `prefix`, which ends in `/`."""

    prefix: str
    sizes: tuple[str, ...]
    """The names of the sizes at which they exist."""
    layout: LayoutName | None = None
    """The layout of their derivatives' keys; None: that of all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutByPrefix:
    """A `Layout` in which the longest prefix that an original's key begins with decides.

    All prefixes end in `/`, and none is that of derivatives. So a derivative that lies beside its original has the same
    prefix, and no key is that of an original under one prefix and of a derivative under another.
    """

    layouts: Mapping[str, Layout]
    """The layouts by prefix, the longest prefix first, an empty one last."""

    def check_original(self, key: str) -> None:
        """Raise if `key` cannot be the key of an original; see `Layout`."""
        self._layout(key).check_original(key)

    def sizes_of(self, original: str) -> tuple[str, ...]:
        """Return the names of the original's sizes; see `Layout`."""
        return self._layout(original).sizes_of(original)

    def check_sizes(self, original: str, sizes: Sequence[str]) -> None:
        """Raise unless the original exists at all `sizes`; see `Layout`."""
        self._layout(original).check_sizes(original, sizes)

    def derivative(self, original: str, size: str) -> str:
        """Return the key of the derivative of `original` at `size`; see `Layout`."""
        return self._layout(original).derivative(original, size)

    def original_of(self, key: str) -> tuple[str, str] | None:
        """Return the original's key and the size's name, or None; see `Layout`."""
        for layout in self.layouts.values():
            found = layout.original_of(key)
            if found and self._layout(found[0]) is layout:
                return found
        return None

    def derivative_pattern(self, original: str) -> tuple[str, re.Pattern[str]]:
        """Return the prefix and the pattern of derivatives' keys; see `Layout`."""
        return self._layout(original).derivative_pattern(original)

    def _layout(self, original: str) -> Layout:
        return next(layout for prefix, layout in self.layouts.items() if original.startswith(prefix))


def layout_of(
    sizes: Mapping[str, OutputFormat | None],
    where: Iterable[Where],
    *,
    key_layout: LayoutName,
    originals_prefixes: tuple[str, ...],
    reserved: str,
) -> Layout:
    """Return the layout of all keys.

    Args:
        sizes: the names of all sizes, in the order of the sizes file, with their fixed formats.
        where: the exceptions, each with another prefix.
        key_layout: the layout where no exception has another one.
        originals_prefixes: the prefixes of the keys of all originals.
        reserved: a key that is no original's.
    """

    def build(one: Where) -> Layout:
        names = tuple(name for name in sizes if name in one.sizes)
        if (one.layout or key_layout) == "site":
            return SiteLayout(sizes=names, originals_prefixes=originals_prefixes, reserved=reserved, where=one.prefix)
        formats = {name: form for name, form in sizes.items() if form}
        return PrefixLayout(
            sizes=names, formats=formats, originals_prefixes=originals_prefixes, reserved=reserved, where=one.prefix
        )

    rules = sorted((Where(prefix="", sizes=tuple(sizes)), *where), key=lambda one: len(one.prefix), reverse=True)
    layouts = {one.prefix: build(one) for one in rules}
    return LayoutByPrefix(layouts=layouts) if len(layouts) > 1 else layouts[""]


def outermost(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Return the prefixes that lie below no other one, in the order in which stores list keys."""
    kept: list[str] = []
    for prefix in sorted(prefixes, key=str.encode):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)
