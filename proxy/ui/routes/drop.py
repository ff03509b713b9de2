"""`/`: drop photographs, each of which is uploaded and rendered."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, post, route

from pipeline.formats.registry import READABLE_TITLES
from proxy.intake.uploads.order import UploadOrder
from proxy.ui.access.guard import posted
from proxy.ui.answers import PRIVATE
from proxy.ui.views.new_key import accepted, new_key
from proxy.ui.views.recent import recent_tiles

if TYPE_CHECKING:
    from litestar.datastructures import State
    from litestar.handlers import HTTPRouteHandler

    from proxy.ui.answers import Answers
    from proxy.ui.parts import Parts


class UploadPath(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page puts a file, and the key that it gets."""

    path: str
    key: str


def drop_routes(parts: Parts, answers: Answers) -> list[HTTPRouteHandler]:
    """Return the routes of the page that takes photographs."""

    @route("/", http_method=["GET", "HEAD"], include_in_schema=False)
    async def drop(request: Request[object, object, State]) -> Response[bytes]:
        return answers.page(
            request,
            "drop.html",
            title="Drop photographs",
            current="/",
            accepted=accepted(),
            formats=READABLE_TITLES,
            most_bytes=parts.max_upload_bytes,
            prefix=parts.originals_prefix,
            recent=await recent_tiles(parts),
        )

    @post("/uploads", status_code=201, include_in_schema=False)
    async def order(request: Request[object, object, State]) -> Response[bytes]:
        form = posted(request)
        key = new_key(
            form.get("name", ""),
            folder=form.get("folder", ""),
            prefix=parts.originals_prefix,
            today=datetime.now(UTC).date(),
            check=lambda one: parts.derivatives.recipe.check(one, []),
        )
        issued = parts.uploads.order(UploadOrder(key=key), message_id=None, ordered_at=int(time.time()))
        # Only the path: these pages may be open at another origin than PUBLIC_ORIGIN.
        body = msgspec.json.encode(UploadPath(path=urlsplit(issued.url).path, key=key))
        return Response(body, status_code=201, headers=PRIVATE, media_type="application/json")

    return [drop, order]
