"""Measures what each photograph of a folder takes to render, each in a fresh process, against what is predicted.

    python -m tests.benchmarks.memory [FOLDER] [--animate]

Prints one line a photograph; ends with 1 if a prediction was too low, or more than twice too high for a baseline JPEG.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.protocol import Derived, ImageInfo, Render
from tests.pipeline.rendering import CORPUS, SITE, RenderProcess

MB = 1_000_000
MOST = 2


def measure(path: Path, *, animate: bool) -> tuple[ImageInfo, int] | None:
    """Give what the photograph is, and the peak of the process that rendered it; None when it was refused."""
    sizes = tuple(replace(size, animate=True) for size in SITE) if animate else SITE
    with TemporaryDirectory() as folder, RenderProcess() as process:
        answer = process.ask(Render(path=str(path), folder=folder, sizes=sizes))
        return (answer.info, process.peak_bytes()) if isinstance(answer, Derived) else None


def main() -> None:
    """Measure every file of the folder that is a picture."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    folder = Path(words[0]) if words else CORPUS / "photos"
    is_off = False
    _say(f"{'photograph':44}  {'what it is':28} {'peak':>6} {'predicted':>9} {'ratio':>5}")
    for path in sorted(folder.iterdir()):
        measured = measure(path, animate="--animate" in sys.argv)
        if measured:
            info, peak = measured
            ratio = info.render_bytes / peak
            is_baseline = info.format == "jpeg" and not info.is_progressive
            is_wrong = ratio < 1 or (is_baseline and ratio > MOST)
            is_off |= is_wrong
            kind = f"{info.format} {info.width}x{info.height} {info.bits} bit"
            kind += " progressive" * info.is_progressive
            numbers = f"{peak / MB:6.0f} {info.render_bytes / MB:9.0f} {ratio:5.2f}"
            _say(f"{path.name[-44:]:44}  {kind:28} {numbers}{' !' * is_wrong}")
    sys.exit(is_off)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
