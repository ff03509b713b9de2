"""Entry point of the compare process: one request per line on stdin, one response per line on stdout."""

from __future__ import annotations

import msgspec

from pipeline.compare.compare import compare
from pipeline.image import vips
from pipeline.process.sandbox import serve
from pipeline.protocol import Compare, Ready


def main() -> None:
    """Answer requests until stdin is closed."""
    decoder = msgspec.json.Decoder(Compare)
    serve(decoder.decode, compare, get_ready=lambda: Ready(libvips=vips.VERSION))


if __name__ == "__main__":
    main()
