"""All routes of the pages, behind the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import Router

from proxy.ui.answers import Answers
from proxy.ui.routes.drop import drop_routes
from proxy.ui.routes.job_pages import jobs_routes
from proxy.ui.routes.log_in import log_in_routes
from proxy.ui.routes.picture_pages import pictures_mount
from proxy.ui.routes.status import status_routes
from proxy.ui.routes.stored import stored_mount

if TYPE_CHECKING:
    from litestar import Request, Response
    from litestar.connection import ASGIConnection
    from litestar.datastructures import State
    from litestar.handlers import BaseRouteHandler

    from proxy.pages.page import Pages
    from proxy.ui.access.guard import Access
    from proxy.ui.parts import Parts


def ui_router(parts: Parts, *, pages: Pages, access: Access) -> Router:
    """Return the routes of the pages; every request passes the guard of `access`."""
    answers = Answers(pages, access)

    # Litestar copies routers deeply: a bound method would come with a copy of its object, and so of the queue.
    async def guard(connection: ASGIConnection[object, object, object, State], handler: BaseRouteHandler) -> None:
        await access.guard(connection, handler)

    def show_error(request: Request[object, object, State], error: Exception) -> Response[bytes]:
        return answers.error(request, error)

    return Router(
        "/",
        guards=[guard],
        exception_handlers={Exception: show_error},
        include_in_schema=False,
        route_handlers=[
            *drop_routes(parts, answers),
            *jobs_routes(parts, answers),
            *status_routes(parts, answers),
            *log_in_routes(answers),
            pictures_mount(parts, answers),
            stored_mount(parts),
        ],
    )
