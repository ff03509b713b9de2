"""Responses with pages: their private headers, the cookie of the session, and errors as pages."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException

from proxy.http.problems import Problem, answer_error
from proxy.pages.page import HTML, page_headers
from proxy.ui import show
from proxy.ui.access.guard import is_secure, visit_of
from proxy.ui.access.refused import LogInFirst, PagesRefused
from proxy.ui.addresses import login_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request
    from litestar.datastructures import State
    from litestar.types import Receive, Send

    from proxy.pages.page import Pages
    from proxy.ui.access.guard import Access
    from proxy.ui.access.sessions import BrowserSession

PRIVATE: Final = {"Cache-Control": "no-store"}
"""Pages are for who has logged in; no cache may keep them."""

HTMX: Final = "hx-request"
"""The header of requests for a part of a page."""


class Answers:
    """The pages of one service, for the sessions that `access` let in."""

    def __init__(self, pages: Pages, access: Access) -> None:
        self._pages = pages
        self.access = access

    def page(
        self,
        request: Request[object, object, State],
        template: str,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> Response[bytes]:
        """Return a page of `ui/templates`."""
        response = self._response(template, status_code, headers or {}, {**self._common(request), **values})
        return self._with_session(request, response)

    def part(self, request: Request[object, object, State], template: str, **values: object) -> str:
        """Return a part of a page, such as for an event."""
        return self._pages.render(f"ui/templates/{template}", **self._common(request), **values).decode()

    def redirect(
        self, request: Request[object, object, State], path: str, *, session: BrowserSession | None = None
    ) -> Response[bytes]:
        """Return a redirect to another page after a form; with `session`, the browser continues in that one."""
        response = Response(b"", status_code=303, headers={**PRIVATE, "Location": self._pages.url(path)})
        if session:
            response.set_cookie(self.access.cookie(session, is_secure=is_secure(request)))
        return response

    def error(self, request: Request[object, object, State], error: Exception) -> Response[bytes]:
        """Return the page about an error: what is wrong, and what to do."""
        if isinstance(error, LogInFirst):
            return self._log_in_first(request, error)
        if isinstance(error, PagesRefused):
            problem = Problem(type="", title=error.title, status=error.status, detail=str(error))
            retry = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds else {}
            return self._problem(request, problem, retry)
        answer = answer_error(request, error)
        problem = msgspec.json.decode(answer.content, type=Problem)
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.NOT_FOUND:
            problem = Problem(type="", title="No such page", status=404, detail="Choose one of the pages above.")
        retry = {name: value for name, value in answer.headers.items() if name.lower() in ("retry-after", "allow")}
        return self._problem(request, problem, retry)

    def _problem(
        self, request: Request[object, object, State], problem: Problem, headers: Mapping[str, str]
    ) -> Response[bytes]:
        is_in = hasattr(request.state, "visit")
        common = self._common(request) if is_in else {"form_token": "", "is_user": False, "show": show}
        return self._response(
            "error.html", problem.status, headers, {"problem": problem, "title": problem.title, **common}
        )

    def _response(
        self, template: str, status_code: int, headers: Mapping[str, str], values: Mapping[str, object]
    ) -> Response[bytes]:
        body = self._pages.render(f"ui/templates/{template}", **values)
        return Response(
            body, status_code=status_code, headers={**page_headers(), **PRIVATE, **headers}, media_type=HTML
        )

    def _log_in_first(self, request: Request[object, object, State], error: LogInFirst) -> Response[bytes]:
        path = self._pages.url(login_path(error.path))
        if request.headers.get(HTMX):  # a part of a page: the whole page has to go to the log-in
            return Response(b"", status_code=error.status, headers={**PRIVATE, "HX-Redirect": path})
        return Response(b"", status_code=303, headers={**PRIVATE, "Location": path})

    def _common(self, request: Request[object, object, State]) -> dict[str, object]:
        session = visit_of(request).session
        return {
            "form_token": self.access.sessions.form_token(session),
            "is_user": session.is_user,
            "show": show,
        }

    def _with_session(self, request: Request[object, object, State], response: Response[bytes]) -> Response[bytes]:
        visit = visit_of(request)
        if visit.is_new:
            response.set_cookie(self.access.cookie(visit.session, is_secure=is_secure(request)))
        return response


async def sent(
    response: Response[bytes], request: Request[object, object, State], receive: Receive, send: Send
) -> None:
    """Send a response from a mounted route, which has to do that itself."""
    await response.to_asgi_response(None, request)(request.scope, receive, send)
