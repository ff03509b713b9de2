"""Entry point of the fork server whose children compare pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.compare.compare import compare
from pipeline.image import vips
from pipeline.process.fork_loop import serve
from pipeline.protocol import Compare, Ready

if TYPE_CHECKING:
    from pipeline.process.channel import ServiceChannel


def main() -> None:
    """Fork a child for each pair of pictures until the service closes the socket."""
    serve(answer, get_ready=lambda: Ready(libvips=vips.VERSION))


def answer(channel: ServiceChannel) -> None:
    """Compare one pair of pictures over its channel."""
    channel.send(compare(channel.receive(Compare)))


if __name__ == "__main__":
    main()
