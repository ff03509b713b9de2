"""What page views need not find out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.errors import Refused
    from proxy.cache import Remembered
    from proxy.errors import TooManyBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is wrong with an original, and of which bytes that was found."""

    kind: type[Refused | TooManyBytes]
    detail: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What page views need not find out again: derivatives that are there, originals that are not or cannot be."""

    known: Remembered[bool]
    absent: Remembered[str]
    failures: Remembered[Failure]

    def forget(self, original: str, *derivatives: str) -> None:
        """Forget what was wrong with an original, so that it is tried again, and that these derivatives are there."""
        self.absent.forget(original)
        self.failures.forget(original)
        for key in derivatives:
            self.known.forget(key)
