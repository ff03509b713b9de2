"""`/pictures`: the originals as a grid; `/pictures/<key>`: one of them, and what can be done to it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

from litestar import Request, asgi
from litestar.exceptions import MethodNotAllowedException

from proxy.http.protocol.raw_paths import path_below
from proxy.jobs.listing import JobFilter, ListJobs
from proxy.jobs.request import JobRequest
from proxy.keys.syntax import decode_path
from proxy.ui.access.guard import posted
from proxy.ui.access.refused import NotConfirmed
from proxy.ui.addresses import job_path, picture_path, query
from proxy.ui.answers import sent
from proxy.ui.views.facts_view import facts_rows, place_text
from proxy.ui.views.job_view import job_view
from proxy.ui.views.listed_pictures import list_pictures
from proxy.ui.views.picture_view import read_picture, read_tiles

if TYPE_CHECKING:
    from litestar import Response
    from litestar.datastructures import State
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import HTTPScope, Receive, Scope, Send

    from proxy.ui.answers import Answers
    from proxy.ui.parts import Parts

    PageRequest = Request[object, object, State]

PATH: Final = "/pictures"
TEMPLATE: Final = "/{key}"
METHODS: Final = ("GET", "HEAD", "POST")

TILES: Final = 36
"""How many originals a page of the grid has."""

JOBS: Final = 10
"""How many jobs the page of a picture lists."""

ACTIONS: Final = ("render", "purge", "takedown")
CHOOSE_ACTION: Final = "Choose what to do on the page of the picture."
RETYPE: Final = "The name does not match, so nothing was removed. Type the name of the file as the page shows it."


def pictures_mount(parts: Parts, answers: Answers) -> ASGIRouteHandler:
    """Return the route under `/pictures`; it is mounted because of the keys, as `/img` is."""
    page = PicturePages(parts, answers)

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def pictures(scope: Scope, receive: Receive, send: Send) -> None:
        request: PageRequest = Request(scope, receive)
        response = await page.answer(cast("HTTPScope", scope), request)
        await sent(response, request, receive, send)

    return pictures


class PicturePages:
    """The pages of pictures."""

    def __init__(self, parts: Parts, answers: Answers) -> None:
        self._parts = parts
        self._answers = answers

    async def answer(self, scope: HTTPScope, request: PageRequest) -> Response[bytes]:
        """Return the response to a request below `/pictures`."""
        if scope["raw_path"].partition(b"?")[0].rstrip(b"/") == PATH.encode():
            scope["path_template"] = PATH
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowedException(headers={"Allow": "GET, HEAD"})
            return await self._grid(request)
        key = decode_path(path_below(PATH, scope, template=TEMPLATE, methods=METHODS))
        if request.method == "POST":
            return await self._act(request, key)
        if (asked := request.query_params.get("confirm", "")) in ACTIONS:
            return await self._confirm(request, key, asked)
        return await self._picture(request, key)

    async def _grid(self, request: PageRequest) -> Response[bytes]:
        prefix, after = (request.query_params.get(name, "") for name in ("prefix", "after"))
        page = await list_pictures(self._parts, prefix, after=after, limit=TILES)
        return self._answers.page(
            request,
            "pictures.html",
            title="Pictures",
            current=PATH,
            prefix=prefix,
            is_first=not after,
            tiles=await read_tiles(self._parts, page.keys),
            unreadable=page.unreadable,
            next=f"{PATH}{query({'prefix': prefix, 'after': page.after})}" if page.after else "",
        )

    async def _picture(self, request: PageRequest, key: str) -> Response[bytes]:
        asked = request.query_params.get("facts", "")
        view, page = await asyncio.gather(
            read_picture(self._parts, key),
            self._parts.jobs.page(ListJobs(selection=JobFilter(key=key), limit=JOBS)),
        )
        facts = await self._parts.facts.read(key) if asked else None
        return self._answers.page(
            request,
            "picture.html",
            status_code=404 if view.has_nothing else 200,
            title=view.name,
            current=PATH,
            view=view,
            jobs=[job_view(job) for job in page.jobs],
            path=picture_path(key),
            facts=facts,
            rows=facts_rows(facts) if facts else [],
            place=place_text(facts) if facts else "",
            shows_place=asked == "place",
            is_taken_down=await self._parts.takedowns.is_taken_down(key),
        )

    async def _confirm(self, request: PageRequest, key: str, action: str) -> Response[bytes]:
        takedown = await self._parts.takedowns.preview(key) if action == "takedown" else None
        return self._answers.page(
            request,
            "confirm.html",
            title={"takedown": "Take down", "purge": "Delete the sizes", "render": "Render again"}[action],
            current=PATH,
            action=action,
            view=await read_picture(self._parts, key),
            path=picture_path(key),
            takedown=takedown,
        )

    async def _act(self, request: PageRequest, key: str) -> Response[bytes]:
        """Do what a confirmed form asks for."""
        form = posted(request)
        action = form.get("action", "")
        if action == "render":
            job = await self._parts.jobs.submit(JobRequest(key=key, force=True))
            return self._answers.redirect(request, job_path(job.id))
        if action not in ACTIONS:
            raise NotConfirmed(CHOOSE_ACTION)
        if form.get("name", "").strip() != key.rpartition("/")[2].strip():
            raise NotConfirmed(RETYPE)
        if action == "purge":
            await self._parts.derivatives.purge(key)
            return self._answers.redirect(request, picture_path(key))
        job = await self._parts.takedowns.request(key, message_id=None, signed_at=int(time.time()))
        return self._answers.redirect(request, job_path(job.id))
