"""`/jobs/<id>/events`: a job as it proceeds, as server-sent events that contain a part of its page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from litestar import Request, route
from litestar.params import FromPath
from litestar.response import ServerSentEvent, ServerSentEventMessage

from proxy.errors import Busy
from proxy.ui.views.job_reads import read_job_view

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from litestar.datastructures import State
    from litestar.handlers import HTTPRouteHandler

    from proxy.ui.answers import Answers
    from proxy.ui.parts import Parts

LOOK_SECONDS: Final = 0.3
"""How often a job is read for each page that follows it."""

FOLLOWED_SECONDS: Final = 600.0
"""How long one response follows a job; browsers then send the request again by themselves."""

MOST_FOLLOWED: Final = 32
"""How many events are sent at once."""

SIGN_OF_LIFE: Final = 50
"""After how many looks without news a comment is sent, so that no proxy closes the connection."""


def live_job_route(parts: Parts, answers: Answers) -> HTTPRouteHandler:
    """Return the route of the events of a job."""
    followed = 0

    async def events(request: Request[object, object, State], job_id: str) -> AsyncIterator[ServerSentEventMessage]:
        nonlocal followed
        followed += 1
        try:
            sent, looks = "", 0
            deadline = asyncio.get_running_loop().time() + FOLLOWED_SECONDS
            while not parts.draining.is_set() and asyncio.get_running_loop().time() < deadline:
                view = await read_job_view(parts, job_id)
                looks += 1
                shown = answers.part(request, "job_live.html", view=view)
                if view.has_ended:
                    yield ServerSentEventMessage(event="end", data=shown)
                    return
                if shown != sent:
                    yield ServerSentEventMessage(event="news", data=shown)
                    sent = shown
                elif looks % SIGN_OF_LIFE == 0:
                    yield ServerSentEventMessage(comment="still running", data=None)
                await _pause(parts.draining)
        finally:
            followed -= 1

    @route("/jobs/{job_id:str}/events", http_method=["GET"], include_in_schema=False)
    async def follow(request: Request[object, object, State], job_id: FromPath[str]) -> ServerSentEvent:
        await parts.jobs.get(job_id)
        if followed >= MOST_FOLLOWED:
            raise Busy("Too many pages follow jobs; reload the page in some seconds.", retry_after_seconds=5)
        return ServerSentEvent(events(request, job_id), headers={"Cache-Control": "no-store"})

    return follow


async def _pause(draining: asyncio.Event) -> None:
    """Wait until the next look, or until the service stops."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await draining.wait()
    except TimeoutError:
        return
