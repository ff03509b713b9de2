"""A client of the image service for Python: one file without dependencies, to copy into a site.

It signs and posts jobs, waits for them, verifies callbacks, and builds `<img>` and `<picture>`. Signatures follow
Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body. It requires Python 3.9.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import http.client
import json
import re
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]
"""A job or a picture, as the service returns it."""

LOOK_EVERY_SECONDS = (0.1, 0.2, 0.4, 0.8)
TOLERANCE_SECONDS = 300
SECRET = re.compile(r"whsec_([A-Za-z0-9+/]{32,})={0,2}")
MAIN_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""The types that every browser displays, the preferred one first."""
OTHER_TYPES = ("image/avif", "image/webp")


class ServiceError(Exception):
    """The service refused a request; `code` is the last part of the problem's `type`."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(f"the service responds with {status}: {detail}")
        self.status, self.code, self.detail = status, code, detail
        self.retry_after_seconds = retry_after_seconds


class Unreachable(Exception):
    """The service did not respond, or not in time; the request may be repeated."""


class JobFailed(Exception):
    """A job that ended with an error."""

    def __init__(self, job: Json) -> None:
        super().__init__(job["error"]["detail"] if job.get("error") else f"job {job['id']} failed")
        self.job = job


class BadSecret(ValueError):
    """A secret that the service would refuse, and that would verify forged callbacks; the message has the remedy."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"{fault}; make one with: echo whsec_$(openssl rand -base64 32)")


class Forged(Exception):
    """A callback that the service did not sign, or that is too old to be accepted."""


@dataclass(frozen=True)
class ImageService:
    """A running service: its base URL, without a trailing slash, and a secret of its `WEBHOOK_SECRETS` to post jobs.

    `secret` is None for a service that accepts unsigned jobs, and for pages that only read pictures.
    """

    url: str
    secret: str | None = None
    timeout_seconds: float = 60.0

    def post_job(self, key: str, *, sizes: tuple[str, ...] = (), force: bool = False, callback_url: str = "") -> Json:
        """Post a job for an original, and return it; a 503 is retried after its `Retry-After`.

        `sizes` are all by default. `force` renders again what is up to date.

        Raises:
            BadSecret: the secret is empty, short, or no base64.
            ServiceError: the service refuses the job, or its queue is still full at the timeout.
            Unreachable: the service does not respond.
        """
        order: Json = {"key": key}
        order |= {"sizes": list(sizes)} if sizes else {}
        order |= {"force": True} if force else {}
        order |= {"callback_url": callback_url} if callback_url else {}
        return self._post("/v1/jobs", order)

    def order_upload(self, key: str, **order: Any) -> Json:
        """Order a URL to which a browser may put one original; return `upload_url`, `key` and `expires_at`.

        `order` has the fields of `POST /v1/uploads`: those of a job, `replace`, `content_type` and `bytes`. The URL is
        absolute. It is valid for some minutes, and for one upload.

        Raises:
            BadSecret: the secret is empty, short, or no base64.
            ServiceError: the service refuses the order.
            Unreachable: the service does not respond.
        """
        issued = self._post("/v1/uploads", {"key": key, **order})
        return {**issued, "upload_url": urljoin(self.url, issued["upload_url"])}

    def _post(self, address: str, order: Json) -> Json:
        body, until = json.dumps(order).encode(), time.monotonic() + self.timeout_seconds
        message_id = f"msg_{uuid.uuid4()}"  # one id for all attempts, so that a retry returns the same result
        while True:
            try:
                return self._request(address, body, signed(self.secret, message_id, body), until=until)
            except ServiceError as error:
                wait_seconds = error.retry_after_seconds or 1.0
                if error.status != http.client.SERVICE_UNAVAILABLE or time.monotonic() + wait_seconds >= until:
                    raise
                time.sleep(wait_seconds)

    def wait_for_job(self, job_id: str) -> Json:
        """Wait until a job has ended, and return it.

        Raises:
            JobFailed: it ended with an error.
            Unreachable: it has not ended within the timeout, or the service does not respond.
        """
        until = time.monotonic() + self.timeout_seconds
        for wait_seconds in _waits():
            job = self._request(f"/v1/jobs/{quote(job_id)}", until=until)
            if job["status"] == "error":
                raise JobFailed(job)
            if job["status"] == "done":
                return job
            if time.monotonic() + wait_seconds >= until:
                raise Unreachable(f"job {job_id} has not ended within {self.timeout_seconds:g} s")
            time.sleep(wait_seconds)
        raise AssertionError

    def picture(self, key: str) -> Json:
        """Return what a page needs to know of a picture; the service renders it first, if it is not rendered yet.

        Raises:
            ServiceError: the original does not exist, or cannot be rendered.
            Unreachable: the service does not respond.
        """
        return self._request(f"/v1/images/{quote(key)}")

    def image_url(self, key: str, size: str) -> str:
        """Return the URL of a size of an original, or of the original itself; it is rendered on the first view."""
        return f"{self.url}/img/{quote(key)}/{size}"

    def _request(
        self,
        address: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        until: float | None = None,
    ) -> Json:
        left_seconds = self.timeout_seconds if until is None else max(0.001, until - time.monotonic())
        request = urllib.request.Request(self.url + address, data=body, headers=dict(headers or {}))  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=left_seconds) as answer:  # noqa: S310
                read: Json = json.load(answer)
                return read
        except urllib.error.HTTPError as refused:
            raise _service_error(refused) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{self.url} does not respond as the service does: {error}") from error


def signed(secret: str | None, message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers of a signed body; if the secret is None, only its id.

    Raises:
        BadSecret: the secret is empty, short, or no base64.
    """
    headers = {"content-type": "application/json", "webhook-id": message_id}
    if secret is not None:
        timestamp = str(int(time.time()))
        code = base64.b64encode(_code(_key(secret), message_id, timestamp, body)).decode()
        headers |= {"webhook-timestamp": timestamp, "webhook-signature": f"v1,{code}"}
    return headers


def read_callback(body: bytes, headers: Mapping[str, str], *secrets: str) -> Json:
    """Verify a callback of the service, and return the ended job.

    `body` is the unmodified request body. `secrets` are those of `CALLBACK_SECRETS`, or else of `WEBHOOK_SECRETS`.
    While one replaces another, pass both. A `webhook-id` that was received before is a repeated delivery.

    Raises:
        BadSecret: there is no secret, or one of them is empty, short, or no base64.
        Forged: none of the secrets signed it, or it is older than five minutes.
    """
    if not secrets:
        raise BadSecret("a callback cannot be verified without a secret")
    keys = [_key(secret) for secret in secrets]
    lower = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = lower.get("webhook-id", ""), lower.get("webhook-timestamp", "")
    signatures = [one.partition(",")[2] for one in lower.get("webhook-signature", "").split() if one.startswith("v1,")]
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        raise Forged("this is no callback of the service, or an old one")
    codes = [base64.b64encode(_code(key, message_id, timestamp, body)) for key in keys]
    if not any(hmac.compare_digest(code, one.encode()) for code in codes for one in signatures):
        raise Forged("the callback is signed by another secret")
    job: Json = json.loads(body)["data"]
    return job


def img(
    picture: Json | None,
    *,
    alt: str,
    sizes: str = "100vw",
    width: int = 800,
    lazy: bool = True,
    base: str = "",
    otherwise: str = "",
) -> str:
    """Return the HTML of a picture: an `<img>`, within a `<picture>` if the service renders several types.

    `alt` is what it shows, for people who do not see it. `sizes` is how wide the page shows it. `width` is how wide, in
    pixels, the `src` is for programs that do not know `srcset`. `lazy` is false for the pictures at the top of a page.
    `base` is the base URL for URLs that are only a path, as those of a file store are.

    A picture is None until its job has ended, and one without a `srcset` has nothing to choose from. `otherwise` is
    then the `src`, such as `image_url(key, "medium")`. Without it, nothing is written.
    """
    main = _main_type(picture)
    shown = _candidates(picture, main)
    if not (shown or otherwise):
        return ""
    fallback = next((url for url, wide in shown if wide >= width), shown[-1][0] if shown else otherwise)
    own_width, own_height = _shape(picture)
    tag = _tag(
        "img",
        {
            "src": urljoin(base, fallback),
            **({"srcset": srcset(picture, main, base=base), "sizes": sizes} if shown else {}),
            **({"width": str(own_width), "height": str(own_height)} if own_width and own_height else {}),
            "alt": alt,
            **({"loading": "lazy"} if lazy else {"fetchpriority": "high"}),
            "decoding": "async",
            **({"style": style} if (style := placeholder(picture)) else {}),
        },
    )
    sources = [
        _tag("source", {"type": one, "srcset": srcset(picture, one, base=base), "sizes": sizes})
        for one in OTHER_TYPES
        if one != main and _candidates(picture, one)
    ]
    return f"<picture>{''.join(sources)}{tag}</picture>" if sources else tag


def srcset(picture: Json | None, content_type: str = "", *, base: str = "") -> str:
    """Return the `srcset` of one content type, by default of the type that every browser displays.

    It is the one of the service: whole pictures, each width once. Crops and copies of the original are not offered.
    """
    shown = _candidates(picture, content_type or _main_type(picture))
    return ", ".join(f"{urljoin(base, url)} {wide}w" for url, wide in shown)


def placeholder(picture: Json | None) -> str:
    """Return CSS that shows the placeholder behind a picture without alpha until it is loaded, or nothing.

    Through the transparent parts of a picture, it would remain visible.
    """
    if not picture or _main_type(picture) != "image/jpeg":
        return ""
    color, lqip = picture.get("color") or "", (picture.get("placeholder") or {}).get("lqip") or ""
    has_color = re.fullmatch(r"#[0-9a-fA-F]{6}", color)
    has_lqip = re.fullmatch(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", lqip)
    layers = [color] * bool(has_color) + [f"url({lqip}) center/cover no-repeat"] * bool(has_lqip)
    return f"background:{' '.join(layers)}" if layers else ""


def _offered(picture: Json | None) -> dict[str, str]:
    """Return the `srcset` of each content type: only whole pictures have one."""
    return (picture or {}).get("srcset") or {}


def _main_type(picture: Json | None) -> str:
    types = _offered(picture)
    return next((one for one in MAIN_TYPES if one in types), next(iter(types), ""))


def _candidates(picture: Json | None, content_type: str) -> list[tuple[str, int]]:
    """Return the URLs and the widths that the service offers of a type, from the narrowest up."""
    found = re.findall(r"(?:^|, )(\S+) ([0-9]+)w", _offered(picture).get(content_type, ""))
    return [(url, int(wide)) for url, wide in found]


def _shape(picture: Json | None) -> tuple[int, int]:
    """Return the width and the height of the original, or of the widest whole picture."""
    if not picture:
        return 0, 0
    if picture["width"] and picture["height"]:
        return picture["width"], picture["height"]
    whole = {url for content_type in _offered(picture) for url, _ in _candidates(picture, content_type)}
    shapes = ((one["width"] or 0, one["height"] or 0) for one in picture["sizes"] if one["url"] in whole)
    return max(shapes, default=(0, 0))


def _tag(name: str, values: Mapping[str, str]) -> str:
    return f"<{name} {' '.join(f'{key}={chr(34)}{html.escape(value)}{chr(34)}' for key, value in values.items())}>"


def _key(secret: str) -> bytes:
    found = SECRET.fullmatch(secret or "")
    if found is None or len(found[1]) % 4 == 1:
        raise BadSecret(
            "the secret is not whsec_ followed by at least 24 bytes in base64; set it to one of the WEBHOOK_SECRETS or "
            "CALLBACK_SECRETS of the service"
        )
    return base64.b64decode(found[1] + "=" * (-len(found[1]) % 4))


def _code(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()


def _service_error(refused: urllib.error.HTTPError) -> ServiceError:
    with refused:
        body = refused.read(65_536).decode(errors="replace")
    try:
        problem = json.loads(body)
        code, detail = str(problem["type"]).rpartition("/")[2], str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        code, detail = "", body[:200]
    wait = refused.headers.get("retry-after", "")
    return ServiceError(refused.code, code, detail, retry_after_seconds=float(wait) if wait.isdigit() else 0.0)


def _waits() -> Iterator[float]:
    yield from LOOK_EVERY_SECONDS[:-1]
    while True:
        yield LOOK_EVERY_SECONDS[-1]
