"""A client of the HTTP API, which signs its requests."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import click
import httpx
import msgspec
from standardwebhooks import Webhook

from proxy.http.problems import Problem
from proxy.system.faults import reason, system_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

T = TypeVar("T")

ANSWER_SECONDS = 30.0
"""The timeout of a request. A page of 100,000 jobs takes up to 11 s, a cancelled job 4 s."""

URL_HINT = "Check the URL (the argument, --url or SERVICE_URL)"

SIGNATURE_HINT = "Check the secret (WEBHOOK_SECRETS or --secret-file), and the clock of this machine."

UNSIGNED_HINT = (
    "The request was not signed, because no secret is set. Set WEBHOOK_SECRETS to a secret of the service, or name a "
    "file with one: --secret-file."
)


class RequestFailed(click.ClickException):
    """A request had no response, or an error: the message has the reason and the remedy."""

    def __init__(self, message: str, *, status: int = 0, retry_after: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ServiceClient:
    """A client of the service at `url`; without a secret, its requests are not signed.

    Requests without a body sign their path, with `origin` before it if the service has one. They have a second
    signature, with the origin of the URL, in case that is the service's: one that matches is enough.
    """

    def __init__(self, url: str, *, secret: str | None, origin: str = "") -> None:
        self.url = url.rstrip("/")
        self.secret = secret
        self._origins = dict.fromkeys((origin, self.absolute("/").removesuffix("/")))
        self._webhook = Webhook(secret) if secret else None
        self._http = httpx.Client(timeout=ANSWER_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, kind: type[T], parameters: Mapping[str, object] | None = None) -> T:
        """Send a GET request to a path below the URL; return the response as `kind`, which `send` describes."""
        return self.send("GET", path, kind, parameters)

    def send(self, method: str, path: str, kind: type[T], parameters: Mapping[str, object] | None = None) -> T:
        """Send a request without a body, with those parameters that are set; return the response as `kind`.

        Raises:
            RequestFailed: the service cannot be reached, responds with an error, or is not this service.
        """
        query = urlencode({name: value for name, value in (parameters or {}).items() if value})
        url = self._url(f"{path}{'?' if query else ''}{query}")
        contents = [f"{method} {origin}{url.raw_path.decode()}" for origin in self._origins]
        return self._decoded(self._sent(method, url, contents), kind)

    def post(self, path: str, body: bytes, kind: type[T]) -> T:
        """Post a body; return the response as `kind`; see `send`."""
        return self._decoded(self._sent("POST", self._url(path), [body.decode()], body=body), kind)

    def fetch(self, url: str, *, method: str = "GET") -> httpx.Response:
        """Send an unsigned request to a URL or a path of the service, and return the response, whatever its status.

        Raises:
            RequestFailed: there is no response.
        """
        try:
            return self._http.request(method, self.absolute(url))
        except httpx.HTTPError as fault:
            raise _unreachable(self.absolute(url), fault) from fault

    def absolute(self, url: str) -> str:
        """Return a URL of the service as an absolute one."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{url}" if url.startswith("/") else url

    def _url(self, path: str) -> httpx.URL:
        url = httpx.URL(f"{self.url}{path}")
        if not url.raw_path.decode().endswith(path):  # httpx follows '..': this would be a request to another route
            raise RequestFailed(f"{path} contains a segment '.' or '..', which no key and no id of a job has.")
        return url

    def _sent(
        self, method: str, url: httpx.URL, contents: Sequence[str], *, body: bytes | None = None
    ) -> httpx.Response:
        headers = {"content-type": "application/json"} if body is not None else {}
        if self._webhook is not None:
            now, message_id = datetime.now(tz=UTC), f"msg_{uuid4().hex}"
            headers |= {
                "webhook-id": message_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": " ".join(self._webhook.sign(message_id, now, one) for one in contents),
            }
        try:
            return self._http.request(method, url, content=body, headers=headers)
        except httpx.HTTPError as fault:
            raise _unreachable(str(url), fault) from fault

    def _decoded(self, answer: httpx.Response, kind: type[T]) -> T:
        if not answer.is_success:
            raise _refused(answer, is_signed=self._webhook is not None)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as fault:
            raise RequestFailed(f"{self.url} does not respond as this service does ({fault}). {URL_HINT}.") from fault


def _unreachable(url: str, fault: httpx.HTTPError) -> RequestFailed:
    parts = urlsplit(url)
    cause = system_error(fault)
    why = reason(cause) if cause else str(fault)
    if isinstance(fault, httpx.TimeoutException):
        why = f"timed out after {ANSWER_SECONDS:g} s"
    return RequestFailed(
        f"{parts.scheme}://{parts.netloc} cannot be reached: {why}. {URL_HINT}, and whether the service runs."
    )


def _refused(answer: httpx.Response, *, is_signed: bool) -> RequestFailed:
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.DecodeError:
        message = f"{answer.url.copy_with(query=None)} responds with {answer.status_code}. {URL_HINT}."
        return RequestFailed(message, status=answer.status_code)
    lines = [f"{problem.title} ({problem.status}). {problem.detail}", *problem.errors]
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        lines = [*lines, SIGNATURE_HINT] if is_signed else [f"{problem.title} ({problem.status}). {UNSIGNED_HINT}"]
    elif answer.status_code == HTTPStatus.NOT_FOUND and problem.type.endswith("/not-found"):
        lines.append(f"The request was for {answer.url.copy_with(query=None)}. {URL_HINT}.")
    message = "\n".join(lines)
    return RequestFailed(message, status=answer.status_code, retry_after=answer.headers.get("retry-after", ""))
