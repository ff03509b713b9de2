"""A fork server whose children run their originals as Python, as if a decoder had been taken over."""

from __future__ import annotations

import os
import socket
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.process.fork_loop import serve
from pipeline.protocol import Finished, ImageInfo, Made, Preview, Probed, Proceed, Ready, Render

if TYPE_CHECKING:
    from pipeline.process.channel import ServiceChannel
    from pipeline.protocol import SandboxLevel

INFO = ImageInfo(
    format="png",
    width=240,
    height=180,
    bands=3,
    bits=8,
    frames=1,
    orientation=1,
    has_alpha=False,
    is_progressive=False,
    render_bytes=50_000_000,
)
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(500)
PREVIEW = Preview(
    color="#8899aa",
    lqip="data:image/webp;base64," + b64encode(b"RIFF\x64\0\0\0WEBPVP8 " + bytes(92)).decode(),
    thumbhash=b64encode(bytes(24)).decode(),
)
BASE = "small"


class Forger:
    """What the code in an original may do: it answers as it likes, and writes what it likes."""

    def __init__(self, channel: ServiceChannel) -> None:
        self.channel = channel
        self.question = channel.receive(Render)
        self.folder = Path(self.question.folder)

    def say(self, text: str | bytes) -> None:
        """Send a line."""
        line = text.encode() if isinstance(text, str) else text
        os.write(0, line + b"\n")

    def probed(self, **values: object) -> None:
        """Answer the probe, with other values for some fields; wait for the service."""
        answer = msgspec.to_builtins(Probed(info=INFO, first_bytes=0))
        first = {name: values.pop(name) for name in ("first_bytes",) if name in values}
        self.say(msgspec.json.encode({**answer, **first, "info": {**answer["info"], **values}}))
        self.channel.receive(Proceed)

    def made(self, name: str = "small", content: bytes = PICTURE) -> None:
        """Write a file, and report its size."""
        (self.folder / name).write_bytes(content)
        self.claim(name)

    def claim(self, name: str = "small") -> None:
        """Report a size without a file."""
        self.channel.send(Made(size=name, preview=PREVIEW if name == BASE else None))

    def preview(self, **values: object) -> None:
        """Write the derivative `small`, and report it with other values for some fields of its preview."""
        (self.folder / BASE).write_bytes(PICTURE)
        preview = {**msgspec.to_builtins(PREVIEW), **values}
        self.say(msgspec.json.encode({"type": "made", "size": BASE, "preview": preview}))

    def finish(self) -> None:
        """Report the end."""
        self.channel.send(Finished())


def answer(channel: ServiceChannel, _: SandboxLevel) -> None:
    """Run the original without a sandbox; `place` is where the derivative `small` belongs, `aside` a path beside it."""
    forger = Forger(channel)
    place, aside = forger.folder / "small", forger.folder / "aside"
    names = {"forger": forger, "place": place, "aside": aside, "PICTURE": PICTURE, "os": os, "socket": socket}
    exec(Path(forger.question.path).read_bytes(), names)  # noqa: S102 - the original is the test's


if __name__ == "__main__":
    serve(answer, get_ready=lambda: Ready(libvips="8.18.7"))
