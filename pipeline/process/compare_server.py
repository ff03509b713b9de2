"""Entry point of the fork server whose children compare pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compare.compare import compare
from pipeline.image import vips
from pipeline.process.confinement.confine import confine
from pipeline.process.fork_loop import serve
from pipeline.protocol import Compare, Ready

if TYPE_CHECKING:
    from pipeline.process.channel import ServiceChannel
    from pipeline.protocol import SandboxLevel


def main() -> None:
    """Fork a child for each pair of pictures until the service closes the socket."""
    serve(answer, get_ready=_ready)


def answer(channel: ServiceChannel, level: SandboxLevel) -> None:
    """Compare one pair of pictures over its channel."""
    question = channel.receive(Compare)
    confine(Path(question.folder), level=level, reads=[Path(path) for path in (question.old, question.new) if path])
    channel.send(compare(question))


def _ready() -> Ready:
    return Ready(libvips=vips.VERSION)


if __name__ == "__main__":
    main()
