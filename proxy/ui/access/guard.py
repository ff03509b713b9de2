"""Lets browsers in, logs them in and out, and refuses forms that no page of their session has sent."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, urlsplit

import structlog
from anyio.to_thread import run_sync
from litestar.datastructures import Cookie

from proxy.errors import QueueUnavailable
from proxy.ui.access.password import Password
from proxy.ui.access.refused import ForgedForm, LogInFirst, LogInsBusy, NotOnThisMachine, TooManyPasswords
from proxy.ui.access.sessions import SESSION_SECONDS, BrowserSession, Sessions
from proxy.ui.access.this_machine import is_local
from proxy.ui.access.tries import PasswordTries

if TYPE_CHECKING:
    from litestar import Request
    from litestar.connection import ASGIConnection
    from litestar.datastructures import State
    from litestar.handlers.base import BaseRouteHandler
    from litestar.types import HTTPScope, Receive

    from proxy.queues.base import JobQueue

log = structlog.get_logger(__name__)

COOKIE: Final = "gf-images-session"
TOKEN, TOKEN_HEADER = "form_token", "x-form-token"
OPEN: Final = "open"
"""The option of routes that need no log-in."""

MOST_LOG_INS: Final = 8
"""How many passwords wait for their hash at most, which takes 0.2 s each; all further ones are refused."""

MAX_FORM_BYTES: Final = 16 * 1024

READING: Final = ("GET", "HEAD")

CLOSED: Final = (
    "These pages have no password, so they open only in a browser on the machine of the service, at "
    "http://127.0.0.1 or http://localhost. To open them from elsewhere, set UI_PASSWORD and start the service again."
)
FORGED: Final = (
    "The form does not belong to this session, or the session has ended. Go back, reload the page, try again."
)

FOREIGN: Final = "A page of another site asked for this. Open the page itself."

Form = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request that was let in: its session, and whether the browser has its cookie already."""

    session: BrowserSession
    is_new: bool


class Access:
    """The access to the pages: with a password, or without one only on this machine."""

    def __init__(self, queue: JobQueue, *, password: str, throttle: PasswordTries | None = None) -> None:
        self._password = Password.of(password) if password else None
        key = self._password.key(b"sessions") if self._password else secrets.token_bytes(32)
        self.sessions = Sessions(queue, key=key)
        self._throttle = throttle or PasswordTries()
        self._hashing = asyncio.Lock()
        self._log_ins = 0

    @property
    def has_password(self) -> bool:
        """Whether browsers have to log in."""
        return self._password is not None

    async def guard(self, connection: ASGIConnection[object, object, object, State], handler: BaseRouteHandler) -> None:
        """Let a request in, or refuse it: the guard of every route of the pages.

        Raises:
            NotOnThisMachine, LogInFirst, ForgedForm: why it is refused.
        """
        scope = cast("HTTPScope", connection.scope)
        if not self.has_password and not is_local(scope, connection.headers):
            raise NotOnThisMachine(CLOSED)
        if _is_part_of_another_site(connection):
            raise ForgedForm(FOREIGN)
        known = await self.sessions.read(connection.cookies.get(COOKIE, ""))
        session = known or self.sessions.start(is_user=False)
        connection.state.visit = Visit(session=session, is_new=known is None)
        if scope["method"] not in READING:
            connection.state.form = await _read_form(connection.receive)
            self._check_form(connection, session)
        if self.has_password and not session.is_user and not handler.opt.get(OPEN):
            raise LogInFirst(scope["raw_path"].decode("latin-1") if scope["method"] in READING else "")

    async def log_in(self, request: Request[object, object, State], password: str) -> BrowserSession | None:
        """Return a new session if this is the password; None if it is not, or if none is needed.

        Raises:
            TooManyPasswords: too many wrong ones were tried from this address.
            LogInsBusy: too many passwords wait for their hash.
        """
        address = request.client.host if request.client else ""
        # Nothing waits between these checks and the count: of many posts at once, no more than the limit get further.
        if seconds := self._throttle.wait_seconds(address):
            raise TooManyPasswords(seconds)
        if self._log_ins >= MOST_LOG_INS:
            raise LogInsBusy
        self._throttle.count(address)
        is_right = self._password is not None and await self._matches(self._password, password)
        if not is_right:
            log.warning("log_in_failed", address=address)
            return None
        self._throttle.forget(address)
        log.info("logged_in", address=address)
        return self.sessions.start(is_user=True)

    async def log_out(self, request: Request[object, object, State]) -> None:
        """End the session of a request; the next page starts another one."""
        try:
            await self.sessions.end(visit_of(request).session)
        except QueueUnavailable as fault:
            log.warning("log_out_not_stored", detail=str(fault))

    def cookie(self, session: BrowserSession, *, is_secure: bool) -> Cookie:
        """Return the cookie of a session."""
        return Cookie(
            key=COOKIE,
            value=self.sessions.cookie(session),
            path="/",
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=is_secure,
        )

    async def _matches(self, password: Password, entered: str) -> bool:
        self._log_ins += 1
        try:
            async with self._hashing:  # one at a time: each takes 16 MiB
                return await run_sync(password.matches, entered)
        finally:
            self._log_ins -= 1

    def _check_form(self, connection: ASGIConnection[object, object, object, State], session: BrowserSession) -> None:
        token = connection.headers.get(TOKEN_HEADER) or connection.state.form.get(TOKEN, "")
        if not _is_same_origin(connection) or not self.sessions.has_token(session, token):
            raise ForgedForm(FORGED)


def visit_of(request: Request[object, object, State]) -> Visit:
    """Return the visit that the guard has let in."""
    return cast("Visit", request.state.visit)


def is_secure(request: Request[object, object, State]) -> bool:
    """Return whether the browser uses HTTPS, to this service or to a proxy before it."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip())


def posted(request: Request[object, object, State]) -> Form:
    """Return the fields of a form that the guard has read."""
    return cast("Form", request.state.form)


async def _read_form(receive: Receive) -> Form:
    """Return the fields of a form; of a repeated field, the first.

    Raises:
        ForgedForm: it is not complete, too large, or not a form.
    """
    body, has_more = bytearray(), True
    while has_more:
        message = await receive()
        if message["type"] != "http.request" or len(body) + len(message["body"]) > MAX_FORM_BYTES:
            raise ForgedForm(FORGED)
        body += message["body"]
        has_more = message["more_body"]
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError:
        raise ForgedForm(FORGED) from None
    return {name: values[0] for name, values in fields.items()}


def _is_part_of_another_site(connection: ASGIConnection[object, object, object, State]) -> bool:
    """Return whether a page of another site loads this into itself, as a picture or a frame; links are permitted."""
    site = connection.headers.get("sec-fetch-site", "none")
    return site in ("cross-site", "same-site") and connection.headers.get("sec-fetch-dest", "document") != "document"


def _is_same_origin(connection: ASGIConnection[object, object, object, State]) -> bool:
    """Return whether a page of this host sent the request, as far as its headers show.

    Where a proxy changes `Host`, only `Sec-Fetch-Site` is right; browsers of before 2023 send `Origin` alone.
    """
    if site := connection.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == connection.headers.get("host", "").lower()
