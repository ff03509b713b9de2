"""The process that compares: a question on each line of its input, an answer on each line of its output."""

from __future__ import annotations

import msgspec

from pipeline.compare.compare import compare
from pipeline.image import vips
from pipeline.process.sandbox import answer_all
from pipeline.protocol import Compare, Ready


def main() -> None:
    """Answer questions until there are no more."""
    decoder = msgspec.json.Decoder(Compare)
    answer_all(decoder.decode, compare, get_ready=lambda: Ready(libvips=vips.VERSION))


if __name__ == "__main__":
    main()
