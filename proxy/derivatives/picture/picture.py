"""A picture as clients see it: its dimensions, what to show before it is loaded, and its derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline.size import base_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.size import Size
    from proxy.derivatives.recipe import Derivative
    from proxy.keys.addresses import PublicAddresses


class PicturePlaceholder(msgspec.Struct, frozen=True, kw_only=True):
    """What to show until a picture is loaded: a tiny WebP as a data URI, and a ThumbHash in base64."""

    lqip: str | None
    thumbhash: str | None


class PictureSize(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative of a picture with its public URL; lengths are in pixels and bytes, None if they are not known."""

    size: str
    url: str
    width: int | None
    height: int | None
    bytes: int | None
    content_type: str


class PictureDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What a page needs to know of one picture.

    `width` and `height` are those of the original in pixels, as it is shown. `srcset` has an entry for each content
    type: the derivatives that show the whole picture, each width once, without copies of the original. A value is None
    if it is not known: the derivatives are of an older version, or the store returns no metadata. All is of the bytes
    that the base size was rendered from.
    """

    key: str
    width: int | None
    height: int | None
    format: str | None
    animated: bool | None
    color: str | None
    placeholder: PicturePlaceholder
    sizes: tuple[PictureSize, ...]
    srcset: dict[str, str]


def picture_of(
    original: str, derivatives: Sequence[Derivative], recipe: Sequence[Size], *, addresses: PublicAddresses
) -> PictureDescription:
    """Return the picture of an original, from its derivatives in the order of the recipe.

    Derivatives of other bytes than the base size was rendered from show another picture, and are left out.
    """
    base = base_size(recipe)
    of_base = next((one for one in derivatives if base and one.size == base.name), None)
    summary = of_base.summary if of_base else None
    preview = summary.preview if summary else None
    etag = of_base.original_etag if of_base else ""
    sizes = tuple(_size(one, addresses) for one in derivatives if not etag or one.original_etag == etag)
    whole = {size.name for size in recipe if size.fit == "limit" and not size.strip_only}
    return PictureDescription(
        key=original,
        width=summary.width if summary else None,
        height=summary.height if summary else None,
        format=summary.format if summary else None,
        animated=summary.animated if summary else None,
        color=preview.color if preview else None,
        placeholder=PicturePlaceholder(
            lqip=preview.lqip if preview else None, thumbhash=preview.thumbhash if preview else None
        ),
        sizes=sizes,
        srcset=_srcset(one for one in sizes if one.size in whole),
    )


def _size(derivative: Derivative, addresses: PublicAddresses) -> PictureSize:
    return PictureSize(
        size=derivative.size,
        url=addresses.of(derivative.key, derivative.version),
        width=derivative.width or None,
        height=derivative.height or None,
        bytes=derivative.bytes or None,
        content_type=derivative.content_type,
    )


def _srcset(sizes: Iterable[PictureSize]) -> dict[str, str]:
    """Return the value of an attribute `srcset` by content type, from the narrowest up.

    Of several derivatives of one width, which an original narrower than their sizes has, the first is offered.
    """
    widths: dict[str, dict[int, str]] = {}
    for size in sizes:
        if size.width:
            widths.setdefault(size.content_type, {}).setdefault(size.width, size.url)
    return {
        content_type: ", ".join(f"{address} {width}w" for width, address in sorted(urls.items()))
        for content_type, urls in widths.items()
    }
