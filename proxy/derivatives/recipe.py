"""What derivatives an original has: their sizes, their keys, what is kept with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pipeline.size import render_profile
from proxy.errors import UnknownSize
from proxy.stores.base import Attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.protocol import Rendered
    from pipeline.size import Size
    from proxy.keys.layouts import Layout
    from proxy.keys.shadow import Shadow
    from proxy.stores.base import Blob

PROFILE, ETAG, WIDTH, HEIGHT = "render-profile", "original-etag", "width", "height"
"""Names of the metadata kept on every derivative."""

_PIXELS: Final = re.compile(r"[0-9]{1,9}")

Staleness = Literal["replaced original", "stale profile"]
"""Made of other bytes than the original's; by another recipe, library or rendering than today's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivative:
    """One derivative as it lies in the store; lengths in pixels and bytes."""

    size: str
    key: str
    width: int
    height: int
    bytes: int
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every size that exists, and the names that derivatives get."""

    sizes: tuple[Size, ...]
    layout: Layout
    cache_control: str
    other_layouts: tuple[Shadow, ...] = ()
    """Where derivatives may lie that nobody reads or writes now: only a purge looks there."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sizes, in the order of the sizes file."""
        return tuple(size.name for size in self.sizes)

    def size(self, name: str) -> Size:
        """Give the size of that name."""
        return self.sizes[self.names.index(name)]

    def check(self, original: str, sizes: Sequence[str]) -> None:
        """Raise `BadKey` or `UnknownSize` unless `original` may have derivatives of these sizes."""
        self.layout.check_original(original)
        if unknown := [size for size in sizes if size not in self.names]:
            raise UnknownSize(f"There is no size {', '.join(map(repr, unknown))}; there are {', '.join(self.names)}.")

    def key(self, original: str, size: str) -> str:
        """Name the derivative of an original at a size."""
        return self.layout.derivative(original, size)

    def is_fresh(self, derivative: Blob, *, original: Blob, size: str, libvips: str) -> bool:
        """Tell whether a derivative was made of today's bytes by today's recipe and library."""
        return self.staleness(derivative, original=original, size=size, libvips=libvips) is None

    def staleness(self, derivative: Blob, *, original: Blob, size: str, libvips: str) -> Staleness | None:
        """Tell why a derivative is not fresh; None when it is."""
        metadata = derivative.attributes.metadata
        if metadata.get(ETAG) != original.etag:
            return "replaced original"
        return None if metadata.get(PROFILE) == self.profile(size, libvips=libvips) else "stale profile"

    def profile(self, size: str, *, libvips: str) -> str:
        """Give the render profile that derivatives of a size have today."""
        return render_profile(self.size(size), among=self.sizes, libvips=libvips)

    def attributes(self, rendered: Rendered, *, original: Blob) -> Attributes:
        """What is kept with a derivative besides its bytes."""
        return Attributes(
            content_type=rendered.content_type,
            cache_control=self.cache_control,
            metadata={
                PROFILE: rendered.profile,
                ETAG: original.etag,
                WIDTH: str(rendered.width),
                HEIGHT: str(rendered.height),
            },
        )


def derivative_of(size: str, blob: Blob) -> Derivative:
    """Read a derivative off its blob; width and height are 0 where somebody else put it there and did not tell."""
    metadata = blob.attributes.metadata
    return Derivative(
        size=size,
        key=blob.key,
        width=_pixels(metadata.get(WIDTH, "")),
        height=_pixels(metadata.get(HEIGHT, "")),
        bytes=blob.bytes,
        content_type=blob.attributes.content_type,
    )


def _pixels(told: str) -> int:
    return int(told) if _PIXELS.fullmatch(told) else 0
