"""How far a walk has come whose originals end in another order than they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class LowWaterMark:
    """Knows the key up to which every original is over, and those behind it that are over already."""

    def __init__(self, after: str = "", done: Iterable[str] = ()) -> None:
        self.after = after
        """All up to this key are over; empty at the beginning."""
        self._known = set(done)
        self._is_over: dict[str, bool] = {}

    def __len__(self) -> int:
        """Count the originals behind `after` that were met, over or not."""
        return len(self._is_over)

    @property
    def done(self) -> tuple[str, ...]:
        """Those behind `after` that are over."""
        return (*self._known, *(key for key, is_over in self._is_over.items() if is_over))

    def begin(self, key: str) -> bool:
        """Meet the next original of the walk; False when there is nothing to do, as it is over or underway."""
        if key in self._is_over:
            return False
        is_over = key in self._known
        self._known.discard(key)
        self._is_over[key] = is_over
        self._move()
        return not is_over

    def end(self, key: str) -> None:
        """Take note that an original is over."""
        self._is_over[key] = True
        self._move()

    def _move(self) -> None:
        while self._is_over:
            key, is_over = next(iter(self._is_over.items()))
            if not is_over:
                return
            del self._is_over[key]
            self.after = key
