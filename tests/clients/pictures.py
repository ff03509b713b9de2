"""Pictures as `GET /v1/images/<key>` describes them, for tests of the clients without a service."""

from __future__ import annotations

from typing import Any

LQIP = "data:image/webp;base64,UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="

CROPS_AND_COPIES = ("icon", "full")
"""Sizes that the service leaves out of `srcset`."""


def rendered(size: str, width: int, height: int, kind: str = "jpeg") -> dict[str, Any]:
    """Return one size."""
    url = f"/files/a_{size}.{kind}"
    return {
        "size": size, "url": url, "width": width, "height": height, "bytes": 9, "content_type": f"image/{kind}",
    }  # fmt: skip


def picture(*sizes: dict[str, Any], width: int = 4000, height: int = 3000, **others: object) -> dict[str, Any]:
    """Return a picture of these sizes."""
    placeholder = {"lqip": LQIP, "thumbhash": None}
    told = {"key": "a_original.jpg", "width": width, "height": height, "color": "#804020", "placeholder": placeholder}
    return {**told, "sizes": list(sizes), "srcset": offered(*sizes), **others}


def offered(*sizes: dict[str, Any]) -> dict[str, str]:
    """Return what the service offers of these sizes: each width once, without `CROPS_AND_COPIES`."""
    by_type: dict[str, dict[int, str]] = {}
    for one in sizes:
        if one["width"] and one["size"] not in CROPS_AND_COPIES:
            by_type.setdefault(one["content_type"], {}).setdefault(one["width"], one["url"])
    return {kind: ", ".join(f"{url} {width}w" for width, url in sorted(urls.items())) for kind, urls in by_type.items()}


SMALL = picture(
    rendered("small", 300, 225),
    *(rendered(size, 512, 384) for size in ("medium", "large", "xlarge")),
    width=512,
    height=384,
)
"""A picture that is smaller than three of the four sizes."""

SQUARES = picture(rendered("icon", 200, 200), rendered("medium", 800, 600), rendered("small", 300, 225))
"""A picture whose first size is a square crop."""

TYPES = picture(
    rendered("medium-webp", 800, 600, "webp"), rendered("medium", 800, 600), rendered("medium-avif", 800, 600, "avif"),
)  # fmt: skip
"""A picture that is rendered as three types."""

ALPHA = picture(rendered("medium", 800, 600, "png"))
"""A picture that may be transparent."""

OLD = picture(rendered("small", 300, 225), {**rendered("x", 9, 9), "width": None, "height": None}, width=0, height=0)
"""A picture whose derivatives are of an older version: it lacks dimensions and one of its sizes does."""

FORGED = picture(
    rendered("medium", 800, 600), color="red;}</style>", placeholder={"lqip": 'data:image/webp;base64,"><script>'}
)
"""A picture whose colour and placeholder are none."""

FULL = picture(rendered("small", 300, 225), rendered("medium", 800, 600), rendered("full", 4000, 3000))
"""A picture with a copy of the original, which no page should load."""

CROP = picture(rendered("icon", 400, 300), rendered("small", 300, 225, "webp"), rendered("medium", 800, 600, "webp"))
"""A picture whose only JPEG is a crop, of the same shape by chance."""

AVIF = picture(rendered("medium", 800, 600, "avif"))
"""A picture of a type that not every browser displays."""

NO_SIZES = picture(width=0, height=0)
"""A picture without any size."""

NO_WIDTHS = picture({**rendered("medium", 0, 0), "width": None, "height": None}, color=None, placeholder=None)
"""A picture in a store that returns no metadata."""

NAMED = {
    "small": SMALL, "squares": SQUARES, "types": TYPES, "alpha": ALPHA, "forged": FORGED, "old": OLD, "full": FULL,
    "crop": CROP, "avif": AVIF, "no sizes": NO_SIZES, "no widths": NO_WIDTHS, "none": None,
}  # fmt: skip
