"""What the site's backend does since 2026, size by size: libvips, metadata kept, small originals enlarged, quality 75.

python -m tests.main_site.old_libvips FOLDER < keys     one key a line; derivatives are written beside their originals
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pyvips

SIZES = {"small": 300, "medium": 800, "large": 1200, "xlarge": 2000}
KEYS, SIZES_OF_KEYS = "keys/", ("medium", "large")


def write_sizes(folder: Path, key: str) -> None:
    """Write all sizes of an original, as the site does.

    Each fits a square, not a width: a portrait is narrower than the name of its size says.
    """
    body = (folder / key).read_bytes()
    suffix = ".png[compression=6]" if key.endswith(".png") else ".jpg[Q=75]"
    for size in SIZES_OF_KEYS if key.startswith(KEYS) else SIZES:
        made = pyvips.Image.new_from_buffer(body, "").thumbnail_image(SIZES[size])
        (folder / key.replace("original", size)).write_bytes(made.write_to_buffer(suffix))


def main() -> None:
    """Write the sizes of every original whose key is on standard input, and print the outcome of each."""
    for line in sys.stdin:
        key = line.rstrip("\n")
        try:
            write_sizes(Path(sys.argv[1]), key)
        except pyvips.Error as fault:
            outcome = {"key": key, "fault": str(fault)}
        else:
            outcome = {"key": key}
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main()
