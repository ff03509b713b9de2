"""Pictures as `GET /v1/images/<key>` describes them, for tests of the clients without a service."""

from __future__ import annotations

from typing import Any

LQIP = "data:image/webp;base64,UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="


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
    return {**told, "sizes": list(sizes), **others}


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

NAMED = {"small": SMALL, "squares": SQUARES, "types": TYPES, "alpha": ALPHA, "forged": FORGED, "old": OLD}
