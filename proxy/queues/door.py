"""The one door to a server that keeps jobs: what goes wrong behind it becomes ours."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHUT_SECONDS = 1.0
"""How long nobody tries a server that has just not answered.

Posts are taken one after another, so each would wait for as long as the server may take.
"""


class Door:
    """Turns `errors` of the client of `server` into ours; those that are `lost` mean that it cannot be reached.

    Unless they are `denied`: then the address is the operator's to mend.

    The client's own sentences are told: they name addresses and users, never passwords.
    """

    def __init__(
        self,
        server: str,
        *,
        errors: type[Exception],
        lost: tuple[type[Exception], ...],
        but: tuple[type[Exception], ...] = (),
        denied: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self._server = server
        self._errors = errors
        self._lost = lost
        self._but = but
        self._denied = denied
        self._shut_until = 0.0
        self._why = ""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Go through within the block.

        Raises:
            QueueUnavailable: the server did not do what was asked, or did not answer a moment ago.
        """
        if time.monotonic() < self._shut_until:
            raise QueueUnavailable(self._why)
        try:
            yield
        except self._but:
            raise
        except self._errors as error:
            said = " ".join(str(error).split())
            if isinstance(error, self._lost):
                state = "lets nobody in like that" if self._denied(error) else "does not answer"
                self._why = f"{self._server} {state}: {said}"
                self._shut_until = time.monotonic() + SHUT_SECONDS
                raise QueueUnavailable(self._why) from error
            raise QueueUnavailable(f"{self._server} will not do it: {said}") from error
