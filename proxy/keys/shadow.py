"""Shadow keys: derivatives with the same names as the live ones, under a prefix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.errors import BadKey
from proxy.keys.syntax import MAX_KEY_BYTES, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.keys.layouts import Layout

REPLACED: Final = "replaced/"
"""The prefix for live derivatives that a promotion has replaced; they are kept until the promotion is undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A `Layout` whose derivatives have the keys of the `live` layout under `prefix`."""

    live: Layout
    prefix: str

    def check_original(self, key: str) -> None:
        """Raise if `key` cannot be the key of an original; see `Layout`."""
        self.live.check_original(key)
        if key.startswith(self.prefix):
            raise BadKey(
                f"The key {shown(key)} is not that of an original: '{self.prefix}' is reserved for derivatives."
            )
        room = MAX_KEY_BYTES - len(self.prefix.encode())
        if any(len(self.live.derivative(key, size).encode()) > room for size in self.sizes_of(key)):
            raise BadKey(f"The key is too long: the keys of its derivatives would exceed {MAX_KEY_BYTES} bytes.")

    def sizes_of(self, original: str) -> tuple[str, ...]:
        """Return the names of the original's sizes; see `Layout`."""
        return self.live.sizes_of(original)

    def check_sizes(self, original: str, sizes: Sequence[str]) -> None:
        """Raise unless the original exists at all `sizes`; see `Layout`."""
        self.live.check_sizes(original, sizes)

    def derivative(self, original: str, size: str) -> str:
        """Return the key of the derivative of `original` at `size`; see `Layout`."""
        key = self.live.derivative(original, size)
        self.check_original(original)
        return self.prefix + key

    def original_of(self, key: str) -> tuple[str, str] | None:
        """Return the original's key and the size's name, or None; see `Layout`."""
        return self.live.original_of(key.removeprefix(self.prefix)) if key.startswith(self.prefix) else None

    def derivative_pattern(self, original: str) -> tuple[str, re.Pattern[str]]:
        """Return the prefix and the pattern of derivatives' keys; see `Layout`."""
        self.check_original(original)
        begin, pattern = self.live.derivative_pattern(original)
        return self.prefix + begin, re.compile(re.escape(self.prefix) + pattern.pattern)
