"""The routes of the pages that every service has: `/`, `/problems` and `/assets`."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from litestar import Request, Response, route
from litestar.datastructures.headers import Accept
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from proxy import SUMMARY
from proxy.http.problem_catalog import RETRIES, catalog
from proxy.http.problems import PROBLEM
from proxy.pages.assets import CONTENT_TYPES, PATH
from proxy.pages.page import HTML

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.handlers import HTTPRouteHandler

    from pipeline.size import Size
    from proxy.http.problem_catalog import ProblemType
    from proxy.pages.page import Pages

FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Other bytes have another address."""

JSON: Final = "application/json"

READING: Final[tuple[Literal["GET"], Literal["HEAD"]]] = ("GET", "HEAD")


def page_routes(pages: Pages, sizes: Sequence[Size], *, has_front: bool = True) -> list[HTTPRouteHandler]:
    """Return the routes; `sizes` are those that `/` lists, unless another room has that path."""
    front = [_front(pages, sizes)] if has_front else []
    return [_assets(pages), *front, _problem_types(pages), _problem_type(pages)]


def wants_page(headers: Mapping[str, str]) -> bool:
    """Return whether a client prefers a page to JSON, as browsers do. At equal quality, JSON wins."""
    try:
        return Accept(headers.get("accept", "")).best_match([PROBLEM, JSON, HTML]) == HTML
    except (ValueError, OverflowError):  # such as a quality of infinity
        return False


def _assets(pages: Pages) -> HTTPRouteHandler:
    @route(f"{PATH}/{{name:str}}", http_method=READING, include_in_schema=False, sync_to_thread=True)
    def asset(name: FromPath[str]) -> Response[bytes]:
        file = pages.assets.find(name)
        if file is None:
            raise NotFoundException
        return Response(file.read_bytes(), headers={"Cache-Control": FOR_EVER}, media_type=CONTENT_TYPES[file.suffix])

    return asset


def _front(pages: Pages, sizes: Sequence[Size]) -> HTTPRouteHandler:
    """Return the route of `/`, which is a page for browsers; others still get 404."""

    @route("/", http_method=READING, include_in_schema=False, sync_to_thread=True)
    def front(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not wants_page(request.headers):
            raise NotFoundException(headers={"Vary": "Accept"})
        return pages.response(
            "pages/templates/front.html",
            headers=_VARIES,
            sizes=sizes,
            summary=SUMMARY,
            version=version("gallformers-images"),
        )

    return front


def _problem_types(pages: Pages) -> HTTPRouteHandler:
    @route("/problems", http_method=READING, include_in_schema=False, sync_to_thread=True)
    def problem_types(request: Request[Any, Any, Any]) -> Response[bytes]:
        kinds = [*catalog().values()]
        if not wants_page(request.headers):
            return _json([_described(kind) for kind in kinds])
        return pages.response("pages/templates/problems.html", headers=_VARIES, kinds=kinds)

    return problem_types


def _problem_type(pages: Pages) -> HTTPRouteHandler:
    @route("/problems/{code:str}", http_method=READING, include_in_schema=False, sync_to_thread=True)
    def problem_type(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[bytes]:
        kind = catalog().get(code)
        if kind is None:
            raise NotFoundException(f"No problem has this type; {pages.url('/problems')} lists every type.")
        if not wants_page(request.headers):
            return _json(_described(kind))
        return pages.response("pages/templates/problem.html", headers=_VARIES, kind=kind, retry=RETRIES[kind.retry])

    return problem_type


_VARIES: Final = {"Cache-Control": "public, max-age=300", "Vary": "Accept"}
"""Pages that change only with the version of the service."""


def _described(kind: ProblemType) -> dict[str, object]:
    return {
        "type": kind.path,
        "title": kind.title,
        "statuses": kind.statuses,
        "meaning": kind.meaning,
        "remedy": kind.remedy,
        "retry": RETRIES[kind.retry],
    }


def _json(body: object) -> Response[bytes]:
    return Response(msgspec.json.encode(body), headers=_VARIES, media_type=JSON)
