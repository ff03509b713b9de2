"""`/status`: whether all parts work, the numbers of the last hour, and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import Request, Response, route

from proxy.ui.views.status_view import read_status

if TYPE_CHECKING:
    from litestar.datastructures import State
    from litestar.handlers import HTTPRouteHandler

    from proxy.ui.answers import Answers
    from proxy.ui.parts import Parts


def status_routes(parts: Parts, answers: Answers) -> list[HTTPRouteHandler]:
    """Return the route of the state of the service."""

    @route("/status", http_method=["GET", "HEAD"], include_in_schema=False)
    async def status(request: Request[object, object, State]) -> Response[bytes]:
        view = read_status(parts)
        return answers.page(
            request, "status.html", title="Status", current="/status", view=view, settings=parts.settings
        )

    return [status]
