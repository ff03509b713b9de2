"""The site's uploads to URLs of the service, whole or cut off, and what may be left of them."""

from __future__ import annotations

import hashlib
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from loadtest.servers.service import signed
from tests.machine.site import Picture, Post, Site

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.machine.bucket import Bucket
    from tests.machine.nodes import Node

FAILED: Final = {410, 502, 503}
"""What an upload may be answered once a clock was set, or while the store or the queue fails."""


@dataclass(kw_only=True)
class Uploading:
    """An upload that has begun."""

    key: str
    photo: Path
    is_whole: bool
    """Whether all of it was sent, or is being sent."""
    is_stored: bool = False
    """Whether the service answered that it is stored."""


class UploadingSite(Site):
    """A site that also uploads new pictures to URLs of the service."""

    def __init__(self, nodes: Sequence[Node], bucket: Bucket, photos: Sequence[Path], callback_url: str) -> None:
        super().__init__(nodes, bucket, photos, callback_url)
        self.uploads: list[Uploading] = []

    def upload(self, node: Node, *, is_cut_off: bool) -> None:
        """Order a URL for a new picture, and upload to it; or send a half, and leave."""
        number = self.tick()
        picture = Picture(key=f"gall/u{number}/u{number}_1_original.jpg")
        photo = self.photos[number % len(self.photos)]
        upload = Uploading(key=picture.key, photo=photo, is_whole=not is_cut_off)
        self.uploads.append(upload)
        self._do(lambda: self._upload(picture, upload, node))

    def check_uploads(self) -> str:
        """Return what is wrong with what is left of uploads, all of which have ended; empty if nothing."""
        uploads, self.uploads = self.uploads, []
        for upload in uploads:
            etag = self.bucket.etag(upload.key)
            if etag is None:
                if upload.is_stored:
                    return f"the upload of {upload.key} was answered as stored, and it is not there"
            elif not upload.is_whole:
                return f"the upload of {upload.key} was cut off, and something is there"
            elif etag != hashlib.md5(upload.photo.read_bytes(), usedforsecurity=False).hexdigest():
                return f"the upload of {upload.key} left other bytes"
        return ""

    def _upload(self, picture: Picture, upload: Uploading, node: Node) -> None:
        body = msgspec.json.encode({"key": picture.key, "callback_url": self._callback_url})
        post = Post(picture=picture, message_id=f"up_{time.time_ns()}", body=body, has_callback=True, began=self.tick())
        began, now = time.monotonic(), datetime.fromtimestamp(node.clock.now(), tz=UTC)
        headers = signed(body, message_id=post.message_id, now=now)
        ordered = self._client.post(f"{node.url}/v1/uploads", content=body, headers=headers)
        self._note("order of an upload", picture, node, ordered)
        if ordered.status_code != httpx.codes.CREATED:
            self._refused("order of an upload", node, ordered, began=began)
            return
        url = f"{node.url}{ordered.json()['upload_url']}"
        if not upload.is_whole:
            _send_half(url, upload.photo.read_bytes())
            return
        answer = self._client.put(url, content=upload.photo.read_bytes())
        self._note("upload", picture, node, answer)
        if answer.status_code == httpx.codes.CREATED:
            upload.is_stored = True
            picture.etag = self.bucket.etag(picture.key)
            self.pictures.append(picture)
            self._keep(answer.json(), post)
        elif answer.status_code not in FAILED:
            self._refused("upload", node, answer, began=began)


def _send_half(url: str, body: bytes) -> None:
    """Send the head of an upload and half of its body, and close the connection."""
    to = urlsplit(url)
    with suppress(OSError), socket.create_connection((to.hostname, to.port or 80), timeout=5) as connection:
        head = f"PUT {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[: len(body) // 2])
