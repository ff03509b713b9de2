"""Requests for derivatives, and the results of locating and generating them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pipeline.errors import Refused
from proxy.concurrency.timings import Timings
from proxy.errors import NotFound, StoreUnavailable, TooManyBytes

if TYPE_CHECKING:
    from proxy.derivatives.recipe import Derivative
    from proxy.errors import ImagesError
    from proxy.stores.base import Blob

Remake = Literal["missing", "unproven", "unseen", "stale", "all"]
"""Which of the wanted derivatives to generate.

- "missing": those that do not exist.
- "unproven": those that do not exist, or that `Provenance` does not accept.
- "unseen": as "unproven"; but if none of them is cached as known, all are taken for missing, without a lookup.
- "stale": those that do not exist or are stale.
- "all": all of them, whatever exists.
"""

Source = Literal["cache", "store", "unproven", "render"]
"""Where a derivative was found: "unproven" is a picture in the store that may not be ours, and that could not be
generated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """What a caller wants generated from an original; equal requests share a single flight."""

    original: str
    sizes: tuple[str, ...]
    remake: Remake
    is_page: bool
    clears_failures: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationResult:
    """The wanted derivatives that exist now, and the timings; with a `fault`, some may be missing."""

    derivatives: tuple[Derivative, ...] = ()
    fault: Refused | ImagesError | None = None
    was_generated: bool = False
    """Whether any derivative was due; otherwise all existed already."""
    original: Blob | None = None
    """The original as it was looked up or fetched; None if neither happened."""
    put_keys: tuple[str, ...] = ()
    """The keys to which derivatives were uploaded, including uploads that failed: they may have reached the store."""
    timings: Timings = field(default_factory=Timings)

    def derivative(self, size: str) -> Derivative | None:
        """Return the derivative of that size, if it exists now."""
        return next((one for one in self.derivatives if one.size == size), None)

    @property
    def is_final(self) -> bool:
        """Whether another attempt with the same bytes would change nothing: they were rendered, or refused."""
        return self.was_generated and (self.fault is None or isinstance(self.fault, Refused | TooManyBytes))

    def withdrawn(self, original: str, *, is_back: bool) -> GenerationResult:
        """Return the result once the uploads were deleted, because the original was removed; it may be stored again."""
        left = tuple(one for one in self.derivatives if one.key not in self.put_keys)
        gone = NotFound(f"The original {original!r} was removed while it was rendered; upload it again.")
        again = StoreUnavailable("The original was removed and stored again while it was rendered; try again.")
        return replace(self, derivatives=left, put_keys=(), fault=again if is_back else gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The key of a derivative or an original, where it was found, and its version; see `version_of`.

    The version is empty if it is unknown: a caller of `record_found` has found the derivative.
    """

    key: str
    source: Source
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """The outcome of a lookup that several callers may share: a location, or a fault."""

    location: Location | None = None
    fault: Refused | ImagesError | None = None
    timings: Timings
