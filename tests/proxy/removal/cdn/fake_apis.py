"""Fake CDNs on loopback: each holds copies, and removes them by the documented API of its provider."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from tests.proxy.removal.cdn.signature_v4 import is_signed
from tests.proxy.stores.fault_proxy import parsed
from tests.proxy.stores.scripted import Scripted, answer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping

TOKEN = "made-up-token"
NAMESPACE = "http://cloudfront.amazonaws.com/doc/2020-05-31/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request that arrived, with the names of its headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class FakeApi(Scripted):
    """A server with `copies`, the URLs of which the CDN has a copy.

    It sends `faults` in order, one per request, and then responds as its provider does.
    """

    def __init__(self, copies: Iterable[str] = ()) -> None:
        super().__init__()
        self.copies = {*copies}
        self.faults: list[bytes] = []
        self.requests: list[ApiRequest] = []

    def respond(self, request: ApiRequest) -> bytes:
        """Return the provider's response."""
        raise NotImplementedError

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, EOFError):
            seen = parsed(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(int(seen.headers.get("content-length", 0)))
            request = ApiRequest(method=seen.method, target=seen.target, headers=seen.headers, body=body)
            self.requests.append(request)
            response = self.faults.pop(0) if self.faults else self.respond(request)
            head, end, content = response.partition(b"\r\n\r\n")
            writer.write(head + b"\r\nConnection: close" + end + content)
            await writer.drain()
        writer.close()


@dataclass
class FakeInvalidation:
    """An invalidation in progress: it is completed when it was asked for as often as `polls`."""

    paths: list[str]
    polls: int


def cloudfront_error(status: int, code: str) -> bytes:
    """Return an error response of CloudFront."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>User: arn:aws:iam::1:user/x</Message></Error>"
    body = f'<?xml version="1.0"?><ErrorResponse xmlns="{NAMESPACE}">{error}<RequestId>1</RequestId></ErrorResponse>'
    return answer(status, body.encode(), Content_Type="text/xml")


class FakeCloudFront(FakeApi):
    """CreateInvalidation and GetInvalidation of one distribution, for signed requests."""

    def __init__(self, copies: Iterable[str] = (), *, distribution: str = "E1EXAMPLE", polls: int = 1) -> None:
        super().__init__(copies)
        self.secrets = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
        self.denied: set[str] = set()
        """The methods that the policy denies."""
        self.created: dict[str, FakeInvalidation] = {}
        self.references: dict[str, str] = {}
        self._distribution = distribution
        self._polls = polls
        self._numbers = count(1)

    def respond(self, request: ApiRequest) -> bytes:
        """Return CloudFront's response."""
        if not is_signed(
            method=request.method,
            path=request.target,
            headers=request.headers,
            body=request.body,
            secrets=self.secrets,
            scope="us-east-1/cloudfront",
        ):
            return cloudfront_error(403, "SignatureDoesNotMatch")
        if request.method in self.denied:
            return cloudfront_error(403, "AccessDenied")
        base = f"/2020-05-31/distribution/{self._distribution}/invalidation"
        if request.method == "POST" and request.target == base:
            return self._create(request.body)
        if request.method == "GET" and request.target.startswith(f"{base}/"):
            return self._get(request.target.removeprefix(f"{base}/"))
        return cloudfront_error(404, "NoSuchDistribution")

    def _create(self, body: bytes) -> bytes:
        batch = ET.fromstring(body)  # noqa: S314 - our own client wrote it
        assert batch.tag == f"{{{NAMESPACE}}}InvalidationBatch"
        paths = [path.text or "" for path in batch.findall("{*}Paths/{*}Items/{*}Path")]
        reference = batch.findtext("{*}CallerReference", "")
        assert reference
        if batch.findtext("{*}Paths/{*}Quantity") != str(len(paths)):
            return cloudfront_error(400, "InconsistentQuantities")
        if not all(path.startswith("/") for path in paths):
            return cloudfront_error(400, "InvalidArgument")
        if reference not in self.references:
            number = self.references[reference] = f"I{next(self._numbers)}"
            self.created[number] = FakeInvalidation(paths, self._polls)
        return self._described(self.references[reference], status=201)

    def _get(self, number: str) -> bytes:
        if number not in self.created:
            return cloudfront_error(404, "NoSuchInvalidation")
        self.created[number].polls -= 1
        return self._described(number, status=200)

    def _described(self, number: str, *, status: int) -> bytes:
        invalidation = self.created[number]
        is_completed = invalidation.polls <= 0
        if is_completed:
            self.copies = {url for url in self.copies if not any(_covers(path, url) for path in invalidation.paths)}
        word = "Completed" if is_completed else "InProgress"
        body = f'<Invalidation xmlns="{NAMESPACE}"><Id>{number}</Id><Status>{word}</Status></Invalidation>'
        return answer(status, body.encode(), Content_Type="text/xml")


def _covers(path: str, url: str) -> bool:
    parts = urlsplit(url)
    own = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return own.startswith(path.removesuffix("*")) if path.endswith("*") else own == path


def cloudflare_error(status: int, code: int, **headers: str) -> bytes:
    """Return an error response of Cloudflare."""
    errors = [{"code": code, "message": "on purpose"}]
    body = json.dumps({"success": False, "errors": errors, "messages": [], "result": None})
    return answer(status, body.encode(), Content_Type="application/json", **headers)


class FakeCloudflare(FakeApi):
    """The purge by URL of one zone, with at most 30 URLs."""

    zone = "023e105f4ecef8ad9ca31a8372d0c353"

    def respond(self, request: ApiRequest) -> bytes:
        """Return Cloudflare's response."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return cloudflare_error(403, 10000)
        if (request.method, request.target) != ("POST", f"/zones/{self.zone}/purge_cache"):
            return cloudflare_error(404, 7003)
        files = json.loads(request.body)["files"]
        if len(files) > 30:
            return cloudflare_error(400, 1094)
        self.copies -= {*files}
        body = json.dumps({"success": True, "errors": [], "messages": [], "result": {"id": self.zone}})
        return answer(200, body.encode(), Content_Type="application/json")


class FakeFastly(FakeApi):
    """The purges by URL and by surrogate key; no copy has a key."""

    service = "SU1Z0isxPaozGVKXdv0eY"

    def respond(self, request: ApiRequest) -> bytes:
        """Return Fastly's response."""
        if request.headers.get("fastly-key") != TOKEN:
            return answer(401, b'{"msg": "Provided credentials are missing or invalid"}')
        if request.method != "POST" or not request.target.startswith(("/purge/", f"/service/{self.service}/purge/")):
            return answer(404, b'{"msg": "Record not found"}')
        if request.target.startswith("/purge/"):
            self.copies.discard(f"https://{request.target.removeprefix('/purge/')}")
        return answer(200, b'{"status": "ok", "id": "108-1391560174-974124"}', Content_Type="application/json")


class FakeCache(FakeApi):
    """A cache that is purged by PURGE with the path and the `Host` of a copy, or by `GET /purge?u=<URL>`."""

    def respond(self, request: ApiRequest) -> bytes:
        """Return the cache's response."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return answer(403)
        if request.method == "PURGE":
            url = f"https://{request.headers['host']}{request.target}"
            status = 200 if url in self.copies else 404
            self.copies.discard(url)
            return answer(status)
        if request.method == "GET" and request.target.startswith("/purge?u="):
            self.copies.discard(unquote(request.target.removeprefix("/purge?u=")))
            return answer(204)
        return answer(404)
