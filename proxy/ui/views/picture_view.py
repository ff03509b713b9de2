"""A picture as its page shows it: its sizes, whether they are fresh, and what a page of a site needs of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from pipeline.size import base_size
from proxy.derivatives.picture.picture import picture_of
from proxy.derivatives.provenance import is_picture
from proxy.derivatives.recipe import derivative_of, version_of
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.stores.base import UNKNOWN_LENGTH
from proxy.ui import show
from proxy.ui.addresses import picture_path, stored_path
from proxy.ui.views.size_view import SizeView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.derivatives.picture.picture import PictureDescription
    from proxy.derivatives.recipe import Recipe
    from proxy.stores.base import Blob
    from proxy.ui.parts import Parts

FRESH: Final = "fresh"

LINE: Final = "\n" + " " * 15
"""Before each further address of an `<img srcset`."""

SHOWN_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif")
"""The types that every browser displays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureView:
    """A picture with its sizes."""

    key: str
    name: str
    folder: str
    original: Blob | None
    original_path: str
    sizes: tuple[SizeView, ...]
    missing: tuple[str, ...]
    picture: PictureDescription
    snippet: str
    """The HTML of the picture for a site; empty while there are no sizes."""

    @property
    def original_bytes(self) -> int:
        """The length of the original; 0 if it is unknown."""
        return _length(self.original)

    @property
    def can_compare(self) -> bool:
        """Whether browsers display the original beside a derivative."""
        return bool(self.sizes) and self.original is not None and self.original.attributes.content_type in SHOWN_TYPES

    @property
    def has_nothing(self) -> bool:
        """Whether the store has nothing of it."""
        return self.original is None and not self.sizes


async def read_picture(parts: Parts, key: str) -> PictureView:
    """Return a picture as the store has it; nothing is rendered.

    Raises:
        BadKey, StoreError: it cannot be an original, or the store does not respond.
    """
    recipe = parts.derivatives.recipe
    recipe.check(key, [])
    names = recipe.names_of(key)
    head = PageTimeouts().lookup
    original, *blobs = await asyncio.gather(
        *(head(parts.store.head(one)) for one in (key, *(recipe.key(key, name) for name in names)))
    )
    found = {name: blob for name, blob in zip(names, blobs, strict=True) if blob and is_picture(blob)}
    derivatives = [derivative_of(name, blob) for name, blob in found.items()]
    described = picture_of(key, derivatives, recipe.sizes_of(key), addresses=parts.addresses)
    views = tuple(_size_view(parts, name, blob, original) for name, blob in found.items())
    folder, _, name = key.rpartition("/")
    return PictureView(
        key=key,
        name=name,
        folder=f"{folder}/" if folder else "",
        original=original,
        original_path=stored_path(key, version=version_of(original)) if original else "",
        sizes=views,
        missing=tuple(name for name in names if name not in found),
        picture=described,
        snippet=snippet(described),
    )


def snippet(picture: PictureDescription) -> str:
    """Return the HTML with which a site shows a picture; the text for who cannot see it is the site's to write."""
    if not picture.srcset:
        return ""
    *others, last = picture.srcset.items()
    widest = max((one for one in picture.sizes if one.width), key=lambda one: one.width or 0)
    sources = [f'  <source type="{escape(kind)}" srcset="{escape(srcset)}" sizes="100vw">' for kind, srcset in others]
    srcset = escape(last[1]).replace(", ", f",{LINE}")
    image = (
        f'  <img src="{escape(widest.url)}"\n       srcset="{srcset}"\n'
        f'       sizes="100vw" width="{widest.width}" height="{widest.height}" alt="" loading="lazy">'
    )
    return "\n".join(["<picture>", *sources, image, "</picture>"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """An original in the grid; `color` is that of its placeholder."""

    key: str
    name: str
    path: str
    thumbnail: str
    width: int
    height: int
    color: str


async def read_tiles(parts: Parts, keys: Sequence[str]) -> list[Tile]:
    """Return the tiles of originals: one lookup for each, of its base size."""
    return list(await asyncio.gather(*(_tile(parts, key) for key in keys)))


async def _tile(parts: Parts, key: str) -> Tile:
    recipe = parts.derivatives.recipe
    name = _base_name(recipe, key)
    blob = await PageTimeouts().lookup(parts.store.head(recipe.key(key, name))) if name else None
    made = derivative_of(name, blob) if blob and is_picture(blob) else None
    preview = made.summary.preview if made and made.summary else None
    return Tile(
        key=key,
        name=key.rpartition("/")[2],
        path=picture_path(key),
        thumbnail=stored_path(made.key, version=made.version) if made else "",
        width=made.width if made else 0,
        height=made.height if made else 0,
        color=preview.color if preview else "",
    )


def _base_name(recipe: Recipe, key: str) -> str:
    size = base_size(recipe.sizes_of(key))
    return size.name if size else ""


def _size_view(parts: Parts, name: str, blob: Blob, original: Blob | None) -> SizeView:
    recipe, made = parts.derivatives.recipe, derivative_of(name, blob)
    stale = (
        recipe.staleness(blob, original=original, size=name, libvips=parts.render_pool.libvips)
        if original
        else "no original"
    )
    return SizeView(
        name=name,
        key=blob.key,
        path=stored_path(blob.key, version=made.version),
        url=parts.addresses.of(blob.key, made.version),
        width=made.width,
        height=made.height,
        bytes=made.bytes,
        content_type=made.content_type,
        saving=show.saving(_length(original), made.bytes),
        state=stale or FRESH,
    )


def _length(blob: Blob | None) -> int:
    return 0 if blob is None or blob.bytes == UNKNOWN_LENGTH else blob.bytes
