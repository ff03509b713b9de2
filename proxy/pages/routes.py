"""`/assets/<name>`: stylesheets, scripts and icons of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar import Response, route
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from proxy.pages.assets import CONTENT_TYPES, PATH

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from proxy.pages.page import Pages

FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Other bytes have another address."""


def assets_route(pages: Pages) -> HTTPRouteHandler:
    """Return the route of assets."""

    @route(f"{PATH}/{{name:str}}", http_method=["GET", "HEAD"], include_in_schema=False, sync_to_thread=True)
    def asset(name: FromPath[str]) -> Response[bytes]:
        file = pages.assets.find(name)
        if file is None:
            raise NotFoundException
        return Response(file.read_bytes(), headers={"Cache-Control": FOR_EVER}, media_type=CONTENT_TYPES[file.suffix])

    return asset
