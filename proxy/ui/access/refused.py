"""Why a request for a page is refused."""

from __future__ import annotations

from proxy.errors import ImagesError


class PagesRefused(ImagesError):
    """A request for a page is refused; `status` is that of the response."""

    code = "pages-refused"
    status = 403
    title = "Not allowed"
    retry_after_seconds = 0
    """After how long the request may be sent again; 0 if that would not help."""


class NotOnThisMachine(PagesRefused):
    """Without a password, only a browser on this machine may open the pages."""

    title = "Only on this machine"


class LogInFirst(PagesRefused):
    """A browser has to log in first; `path` is the page that it asked for."""

    status = 401
    title = "Log in first"

    def __init__(self, path: str) -> None:
        super().__init__("Log in first.")
        self.path = path


class ForgedForm(PagesRefused):
    """A form was not sent by a page of this session."""

    title = "Not sent from these pages"


class TooManyPasswords(PagesRefused):
    """Too many wrong passwords were tried from one address."""

    status = 429
    title = "Too many passwords"

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"Too many wrong passwords were tried. Wait for {wait_seconds} s, then try again.")
        self.retry_after_seconds = wait_seconds


class LogInsBusy(PagesRefused):
    """Too many passwords are checked at the same time."""

    status = 503
    title = "Too many log-ins"
    retry_after_seconds = 5

    def __init__(self) -> None:
        super().__init__(f"Too many log-ins are checked now. Wait for {self.retry_after_seconds} s, then try again.")


class NotConfirmed(PagesRefused):
    """What removes something was not confirmed."""

    status = 400
    title = "Not confirmed"
