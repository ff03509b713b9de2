"""The client for Python, against a running service."""

from __future__ import annotations

import base64
import hmac
import importlib.util
import io
import sys
import threading
import time
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import httpx
import PIL.Image
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import SECRET, running
from tests.clients.pictures import (
    ALPHA,
    AVIF,
    CROP,
    FORGED,
    FULL,
    LQIP,
    NO_SIZES,
    NO_WIDTHS,
    OLD,
    SMALL,
    SQUARES,
    TYPES,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.servers.service import Service

SOURCE = Path(__file__).parents[2] / "docs" / "clients" / "image_service.py"
OTHER_SECRET = "whsec_YW5vdGhlciBzZWNyZXQgb2YgbWluZSwgbm90IGhpcnM="
BAD_SECRETS = (
    "",
    "whsec_",
    "whsec_====",
    "whsec_YWJj",  # 3 bytes
    "whsec_" + "A" * 31,  # 23 bytes
    "whsec_" + "A" * 33,  # no length of base64
    "whsec_" + "****" * 8,  # characters that a lenient decoder drops
    "whsec_" + "A" * 31 + "-",  # base64 for URLs
    SECRET + "\n",
    " " + SECRET,
    SECRET.removeprefix("whsec_"),
    "undefined",
)
KEY = "gall/58/58 ü+_1_original.jpg"
SECONDS = 30


def signed_with(key: bytes, body: bytes) -> dict[str, str]:
    """Return the headers of a callback that is signed with a key of any length."""
    now = str(int(time.time()))
    code = base64.b64encode(hmac.digest(key, f"msg_1.{now}.".encode() + body, "sha256")).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": f"v1,{code}"}


def load() -> Any:
    spec = importlib.util.spec_from_file_location("image_service", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


client = load()


class Receiver(HTTPServer):
    """A site that takes callbacks: it keeps the raw body and the headers of each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.taken: SimpleQueue[tuple[bytes, dict[str, str]]] = SimpleQueue()


class _Post(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.put((body, dict(self.headers.items())))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with running(folder, CALLBACK_HOSTS=f"http://127.0.0.1:{receiver.server_port}") as one:
        paint(folder / "photo.jpg", Photograph(width=512, height=384, gps=True))
        one.put(KEY, folder / "photo.jpg")
        (folder / "text.jpg").write_text("this is not a picture")
        one.put("gall/58/58_2_original.jpg", folder / "text.jpg")
        yield one


def parsed(html: str) -> list[tuple[str, dict[str, str | None]]]:
    tags: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append((tag, dict(attrs)))  # type: ignore[method-assign]
    parser.feed(html)
    parser.close()
    return tags


def test_a_job_is_signed_waited_for_and_its_callback_verified(service: Service, receiver: Receiver) -> None:
    images = client.ImageService(service.url, SECRET, timeout_seconds=SECONDS)
    callback_url = f"http://127.0.0.1:{receiver.server_port}/ended"
    posted = images.post_job(KEY, sizes=("small", "medium"), callback_url=callback_url)
    job = images.wait_for_job(posted["id"])
    assert (job["id"], job["status"], job["key"]) == (posted["id"], "done", KEY)
    assert [(one["size"], one["width"]) for one in job["derivatives"]] == [("small", 300), ("medium", 512)]
    body, headers = receiver.taken.get(timeout=SECONDS)
    assert client.read_callback(body, headers, OTHER_SECRET, SECRET)["derivatives"] == job["derivatives"]
    now = int(time.time())
    for wrong, changed, secrets in [
        (body + b" ", {}, (SECRET,)),
        (body, {}, (OTHER_SECRET,)),
        (body, {"webhook-timestamp": str(now - 301)}, (SECRET,)),
        (body, {"webhook-timestamp": "now"}, (SECRET,)),
        (body, {"webhook-signature": "v1,ü v2,abc"}, (SECRET,)),
        (body, {"webhook-signature": ""}, (SECRET,)),
    ]:
        lower = {name.lower(): value for name, value in headers.items()}
        with pytest.raises(client.Forged):
            client.read_callback(wrong, lower | changed, *secrets)


def test_an_upload_is_ordered_and_any_client_puts_the_file_to_its_url(service: Service) -> None:
    images = client.ImageService(service.url, SECRET, timeout_seconds=SECONDS)
    key, photo = "gall/60/60 ü_1_original.jpg", (service.folder / "photo.jpg").read_bytes()
    ordered = images.order_upload(key, bytes=len(photo), content_type="image/jpeg", sizes=["small"])
    assert ordered["key"] == key
    job = httpx.put(ordered["upload_url"], content=photo).raise_for_status().json()
    assert images.wait_for_job(job["id"])["key"] == key
    with pytest.raises(client.ServiceError, match="400") as refused:
        images.order_upload(key, content_type="image/bmp")
    assert refused.value.status == 400


def test_a_description_has_the_srcset_that_the_client_writes_and_every_address_leads_to_a_picture(
    service: Service,
) -> None:
    images = client.ImageService(service.url, SECRET, timeout_seconds=SECONDS)
    picture = images.picture(KEY)
    assert picture["srcset"] == {"image/jpeg": client.srcset(picture)}
    for candidate in client.srcset(picture, base=service.url).split(", "):
        address, width = candidate.split()
        shown = PIL.Image.open(io.BytesIO(httpx.get(address, timeout=SECONDS).content))
        assert f"{shown.width}w" == width
    assert [one.split()[1] for one in client.srcset(picture).split(", ")] == ["300w", "512w"]
    job = images.wait_for_job(images.post_job(KEY)["id"])
    assert job["picture"] == picture
    view = httpx.get(images.image_url(KEY, "medium"), follow_redirects=True, timeout=SECONDS)
    assert (view.status_code, view.headers["content-type"]) == (200, "image/jpeg")
    with pytest.raises(client.ServiceError, match="404"):
        images.picture("gall/0/0_1_original.jpg")


def test_what_the_service_refuses_is_raised_with_its_code_and_detail(service: Service) -> None:
    images = client.ImageService(service.url, SECRET, timeout_seconds=SECONDS)
    with pytest.raises(client.JobFailed, match="not an image") as failed:
        images.wait_for_job(images.post_job("gall/58/58_2_original.jpg")["id"])
    assert failed.value.job["error"]["code"] == "not-an-image"
    with pytest.raises(client.ServiceError, match="401") as refused:
        client.ImageService(service.url, OTHER_SECRET).post_job(KEY)
    assert refused.value.code == "bad-signature"
    with pytest.raises(client.ServiceError, match="422"):
        images.post_job(KEY, sizes=("huge",))
    with pytest.raises(client.Unreachable):
        client.ImageService("http://127.0.0.1:9").wait_for_job("1")


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_a_secret_that_the_service_would_refuse_verifies_no_callback_and_posts_no_job(secret: str) -> None:
    body = b'{"type": "job.done", "data": {"id": "1", "key": "a", "status": "done"}}'
    for key in (b"", b"abc", secret.encode()):
        headers = signed_with(key, body)
        for secrets in [(secret,), (SECRET, secret), (secret, SECRET)]:
            with pytest.raises(client.BadSecret, match="openssl rand"):
                client.read_callback(body, headers, *secrets)
    with pytest.raises(client.BadSecret, match="openssl rand") as refused:
        client.ImageService("http://127.0.0.1:9", secret).post_job(KEY)
    assert SECRET.removeprefix("whsec_") not in str(refused.value)


def test_a_callback_is_verified_by_any_of_several_secrets_and_by_none_of_no_secrets() -> None:
    body = b'{"type": "job.done", "data": {"id": "1", "key": "a", "status": "done"}}'
    headers = client.signed(OTHER_SECRET, "msg_1", body)
    assert client.read_callback(body, headers, SECRET, OTHER_SECRET)["id"] == "1"
    assert client.read_callback(body, headers, OTHER_SECRET.rstrip("="))["id"] == "1"
    with pytest.raises(client.Forged):
        client.read_callback(body, headers, SECRET)
    with pytest.raises(client.BadSecret, match="without a secret"):
        client.read_callback(body, headers)


def test_widths_are_true_and_occur_once() -> None:
    assert client.srcset(SMALL) == "/files/a_small.jpeg 300w, /files/a_medium.jpeg 512w"
    assert client.srcset(SQUARES) == "/files/a_small.jpeg 300w, /files/a_medium.jpeg 800w"
    assert client.srcset(SMALL, base="https://a.test/x/").split()[0] == "https://a.test/files/a_small.jpeg"


def test_a_copy_of_the_original_is_not_offered_and_is_no_fallback() -> None:
    assert client.srcset(FULL) == "/files/a_small.jpeg 300w, /files/a_medium.jpeg 800w"
    ((_, values),) = parsed(client.img(FULL, alt="", width=9000))
    assert (values["src"], values["srcset"]) == ("/files/a_medium.jpeg", client.srcset(FULL))


def test_the_type_of_an_img_is_one_of_whole_pictures() -> None:
    ((tag, values),) = parsed(client.img(CROP, alt=""))
    assert (tag, values["src"]) == ("img", "/files/a_medium.webp")
    assert values["srcset"] == "/files/a_small.webp 300w, /files/a_medium.webp 800w"
    ((_, values),) = parsed(client.img(AVIF, alt=""))
    assert values["src"] == "/files/a_medium.avif"


@pytest.mark.parametrize("picture", [None, NO_SIZES, NO_WIDTHS])
def test_without_a_picture_nothing_is_written_or_the_address_that_is_passed(picture: dict[str, Any] | None) -> None:
    assert client.img(picture, alt="") == client.srcset(picture) == client.placeholder(picture) == ""
    ((tag, values),) = parsed(client.img(picture, alt="A gall", base="https://a.test", otherwise="/img/a/medium"))
    assert (tag, values["src"], values["alt"]) == ("img", "https://a.test/img/a/medium", "A gall")
    assert "srcset" not in values
    assert "sizes" not in values


def test_an_img_has_dimensions_placeholder_and_escaped_text() -> None:
    ((tag, values),) = parsed(client.img(SMALL, alt='"a" & <b>', sizes="50vw"))
    assert tag == "img"
    assert (values["width"], values["height"], values["alt"]) == ("512", "384", '"a" & <b>')
    assert (values["src"], values["sizes"], values["loading"]) == ("/files/a_medium.jpeg", "50vw", "lazy")
    assert values["style"] == f"background:#804020 url({LQIP}) center/cover no-repeat"
    assert "loading" not in parsed(client.img(SMALL, alt="", lazy=False))[0][1]


def test_other_types_are_sources_before_the_img() -> None:
    tags = parsed(client.img(TYPES, alt=""))
    assert [(tag, values.get("type")) for tag, values in tags] == [
        ("picture", None), ("source", "image/avif"), ("source", "image/webp"), ("img", None),
    ]  # fmt: skip
    assert tags[-1][1]["src"] == "/files/a_medium.jpeg"


def test_a_picture_whose_dimensions_are_not_known_has_those_of_its_widest_size() -> None:
    ((_, values),) = parsed(client.img({**OLD, "width": None, "height": None}, alt=""))
    assert (values["width"], values["height"], values["srcset"]) == ("300", "225", "/files/a_small.jpeg 300w")


def test_no_placeholder_is_behind_what_may_be_transparent_or_comes_from_elsewhere() -> None:
    assert client.placeholder(ALPHA) == client.placeholder(FORGED) == ""
    assert client.placeholder({**SMALL, "placeholder": None}) == "background:#804020"


def test_the_module_needs_the_standard_library_only() -> None:
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    roots = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert roots <= sys.stdlib_module_names
