"""The process that compares: a question on each line of its input, an answer on each line of its output."""

from __future__ import annotations

import msgspec

from pipeline import vips
from pipeline.compare import compare
from pipeline.confined import answer_all
from pipeline.wire import Compare, Ready


def main() -> None:
    """Answer questions until there are no more."""
    decoder = msgspec.json.Decoder(Compare)
    answer_all(decoder.decode, compare, get_ready=lambda: Ready(libvips=vips.VERSION))


if __name__ == "__main__":
    main()
