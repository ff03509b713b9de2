"""The derivatives of an original: their sizes, keys, freshness and attributes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pipeline.protocol import Summary  # noqa: TC001 - msgspec reads the types of a derivative
from pipeline.size import base_size, render_profile
from proxy.derivatives.picture.summary_metadata import metadata_of, pixels, summary_of
from proxy.stores.base import UNKNOWN_LENGTH, Attributes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.protocol import Rendered
    from pipeline.size import Size
    from proxy.keys.layouts import Layout
    from proxy.keys.shadow import Shadow
    from proxy.stores.base import Blob

PROFILE, ETAG, WIDTH, HEIGHT = "render-profile", "original-etag", "width", "height"
"""The names of the metadata stored with every derivative."""

_VERSION_BYTES: Final = 6
"""Length of the hash in a version: two versions of one key are equal by accident once in 280 million million times."""

Staleness = Literal["replaced original", "stale profile"]
"""Why a derivative is stale: it was rendered from other bytes, or by another recipe, libvips or rendering version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivative:
    """A derivative in the store; lengths in pixels and bytes. That of the base size has the summary of the picture."""

    size: str
    key: str
    width: int
    height: int
    bytes: int
    content_type: str
    summary: Summary | None = None
    version: str = ""
    """See `version_of`; empty in jobs that older versions stored."""
    original_etag: str = ""
    """The ETag of the original it was rendered from; empty if it is unknown, and in jobs that older versions stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The configured sizes, those at which an original exists, and the layout of its derivatives' keys."""

    sizes: tuple[Size, ...]
    """All sizes of the sizes file; `sizes_of` returns those of an original."""
    layout: Layout
    cache_control: str
    other_layouts: tuple[Shadow, ...] = ()
    """Layouts from which no derivatives are served, but under which some may exist; only a purge searches them."""

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names of all sizes, in the order of the sizes file."""
        return tuple(size.name for size in self.sizes)

    def size(self, name: str) -> Size:
        """Return the size of that name."""
        return self.sizes[self.all_names.index(name)]

    def names_of(self, original: str, *, among: Collection[str] = ()) -> tuple[str, ...]:
        """Return the names of the sizes at which `original` exists; unless `among` is empty, only those in it."""
        names = self.layout.sizes_of(original)
        return tuple(name for name in names if name in among) if among else names

    def sizes_of(self, original: str) -> tuple[Size, ...]:
        """Return the sizes at which `original` exists, in the order of the sizes file."""
        names = self.names_of(original)
        return tuple(size for size in self.sizes if size.name in names)

    def check(self, original: str, sizes: Sequence[str]) -> None:
        """Raise `BadKey` or `UnknownSize` unless `original` can have derivatives of these sizes."""
        self.layout.check_original(original)
        self.layout.check_sizes(original, sizes)

    def key(self, original: str, size: str) -> str:
        """Return the key of an original's derivative at a size."""
        return self.layout.derivative(original, size)

    def keys_of(self, original: str) -> tuple[str, ...]:
        """Return the keys of all derivatives of an original, in the order of the sizes file."""
        return tuple(self.key(original, size) for size in self.names_of(original))

    def is_fresh(self, derivative: Blob, *, original: Blob, size: str, libvips: str) -> bool:
        """Return whether a derivative was rendered from the current bytes by the current recipe and libvips."""
        return self.staleness(derivative, original=original, size=size, libvips=libvips) is None

    def staleness(self, derivative: Blob, *, original: Blob, size: str, libvips: str) -> Staleness | None:
        """Return why a derivative is stale, or None if it is fresh.

        One that lacks the summary of the picture has a stale profile: another size was the base size before.
        """
        metadata = derivative.attributes.metadata
        if metadata.get(ETAG) != original.etag:
            return "replaced original"
        sizes = self.sizes_of(original.key)
        is_complete = self.size(size) is not base_size(sizes) or summary_of(metadata) is not None
        profile = render_profile(self.size(size), among=sizes, libvips=libvips)
        is_current = is_complete and metadata.get(PROFILE) == profile
        return None if is_current else "stale profile"

    def attributes(self, rendered: Rendered, *, original: Blob) -> Attributes:
        """Return the attributes to store with a derivative."""
        return Attributes(
            content_type=rendered.content_type,
            cache_control=self.cache_control,
            metadata={
                PROFILE: rendered.profile,
                ETAG: original.etag,
                WIDTH: str(rendered.width),
                HEIGHT: str(rendered.height),
                **(metadata_of(rendered.summary) if rendered.summary else {}),
            },
        )


def derivative_of(size: str, blob: Blob) -> Derivative:
    """Return the derivative in a blob; width and height are 0 if its metadata lacks valid ones, bytes if unknown."""
    metadata = blob.attributes.metadata
    return Derivative(
        size=size,
        key=blob.key,
        width=pixels(metadata.get(WIDTH)),
        height=pixels(metadata.get(HEIGHT)),
        bytes=0 if blob.bytes == UNKNOWN_LENGTH else blob.bytes,
        content_type=blob.attributes.content_type,
        summary=summary_of(metadata),
        version=version_of(blob),
        original_etag=metadata.get(ETAG, ""),
    )


def version_of(blob: Blob) -> str:
    """Return 12 characters that identify what a derivative was rendered from and how: original and render profile.

    It stays the same if the same original is rendered again with the same profile. For any other blob, an original
    above all, it identifies the bytes.
    """
    metadata = blob.attributes.metadata
    inputs = f"{metadata[ETAG]} {metadata[PROFILE]}" if {ETAG, PROFILE} <= metadata.keys() else blob.etag
    return hashlib.blake2b(inputs.encode(), digest_size=_VERSION_BYTES).hexdigest()
