"""What came of looking for a derivative, or of making some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.errors import Refused
from proxy.concurrency.timings import Timings
from proxy.errors import TooManyBytes

if TYPE_CHECKING:
    from proxy.derivatives.recipe import Derivative
    from proxy.errors import ImagesError

Remake = Literal["missing", "stale", "all"]
"""Which of the wanted derivatives are made: those that are not there; also those made of other bytes or by another
recipe than today's; every one."""

Source = Literal["cache", "store", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationResult:
    """The derivatives that were wanted, and where the time went; where there is a `fault`, some of them are missing."""

    derivatives: tuple[Derivative, ...] = ()
    fault: Refused | ImagesError | None = None
    was_generated: bool = False
    """Whether any of them had to be made; else all were there."""
    timings: Timings = field(default_factory=Timings)

    @property
    def is_final(self) -> bool:
        """Tell whether something came of these bytes that no other try would change, be it that they are refused."""
        return self.was_generated and (self.fault is None or isinstance(self.fault, Refused | TooManyBytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a derivative is, and how that was found out."""

    key: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """What came of looking for a derivative that many may be waiting for: where it is, or what is wrong with it."""

    location: Location | None = None
    fault: Refused | ImagesError | None = None
    timings: Timings
