"""`/login` and `/logout`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import Request, Response, post, route

from proxy.ui.access.guard import OPEN, posted
from proxy.ui.addresses import LOGIN, is_own_path

if TYPE_CHECKING:
    from litestar.datastructures import State
    from litestar.handlers import HTTPRouteHandler

    from proxy.ui.answers import Answers


def log_in_routes(answers: Answers) -> list[HTTPRouteHandler]:
    """Return the routes of the log-in and the log-out."""

    def form(request: Request[object, object, State], following: str, *, is_wrong: bool) -> Response[bytes]:
        return answers.page(
            request,
            "login.html",
            status_code=401 if is_wrong else 200,
            title="Log in",
            current=LOGIN,
            following=following,
            is_wrong=is_wrong,
        )

    @route(LOGIN, http_method=["GET", "HEAD"], include_in_schema=False, opt={OPEN: True})
    async def ask(request: Request[object, object, State]) -> Response[bytes]:
        if not answers.access.has_password:
            return answers.redirect(request, "/")
        return form(request, request.query_params.get("next", "/"), is_wrong=False)

    @post(LOGIN, status_code=200, include_in_schema=False, opt={OPEN: True})
    async def enter(request: Request[object, object, State]) -> Response[bytes]:
        fields = posted(request)
        following = fields.get("next", "/")
        session = await answers.access.log_in(request, fields.get("password", ""))
        if session is None:
            return form(request, following, is_wrong=True)
        return answers.redirect(request, following if is_own_path(following) else "/", session=session)

    @post("/logout", status_code=200, include_in_schema=False)
    async def leave(request: Request[object, object, State]) -> Response[bytes]:
        await answers.access.log_out(request)
        return answers.redirect(request, LOGIN, session=answers.access.sessions.start(is_user=False))

    return [ask, enter, leave]
