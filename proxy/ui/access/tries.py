"""How often passwords may be tried."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BURST: Final = 8
"""How many wrong passwords one address may send at once."""

EVERY_SECONDS: Final = 15.0
"""How long it then waits for each further one: 5,760 a day."""

MOST_ADDRESSES: Final = 1000
"""How many addresses are remembered; if more try, the one that tried longest ago may try again."""


class PasswordTries:
    """A count of wrong passwords by address, each of which is forgotten after `EVERY_SECONDS`."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()
        """When all tries of an address are forgotten."""

    def wait_seconds(self, address: str) -> int:
        """Return after how many seconds an address may try again; 0 if it may now."""
        excess = self._until.get(address, 0.0) - self._clock() - (BURST - 1) * EVERY_SECONDS
        return max(0, math.ceil(excess))

    def count(self, address: str) -> None:
        """Count a try."""
        now = self._clock()
        self._until[address] = max(self._until.get(address, 0.0), now) + EVERY_SECONDS
        self._until.move_to_end(address)
        while len(self._until) > MOST_ADDRESSES:
            self._until.popitem(last=False)

    def forget(self, address: str) -> None:
        """Forget the tries of an address that knew the password."""
        self._until.pop(address, None)
