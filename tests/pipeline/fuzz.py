"""Mutated files against every recipe, through a real render process: `python -m tests.pipeline.fuzz --count 20000`.

Every answer must be derivatives or a refusal. A fault is a defect of our code; a decoder that dies is killed by a
signal, which is counted and shown, and its input kept. The memory that the render process holds is shown as it goes.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import PIL.Image

from loadtest.paint import Photograph, pixels
from pipeline.protocol import Derived, Refusal, Render
from pipeline.size import Size
from tests.pipeline.formats.heifs import Codec, coded, compose, tiled
from tests.pipeline.rendering import RenderProcess

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RECIPES: tuple[tuple[Size, ...], ...] = (
    (Size(name="small", width=50), Size(name="large", width=1200)),
    (
        Size(name="kept", width=60, gamut="keep", keep_copyright=True),
        Size(name="png", width=70, format="png", gamut="keep", keep_copyright=True),
        Size(name="webp", width=1100, format="webp", gamut="keep"),
    ),
    (
        Size(name="moving", width=40, animate=True, keep_copyright=True),
        Size(name="fill", width=30, height=20, fit="fill", position="attention", format="png"),
        Size(name="avif", width=40, format="avif", effort=0, gamut="keep"),
    ),
)
"""Recipes that together use every option of a size."""

SECONDS = 30
MB = 1_000_000
SHOWN_EVERY = 5_000
SMALL = Photograph(width=96, height=64, noise=20)
TILE = 64
_SPECIAL = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\xff\xd9", b"\x80", b"\xef", b"\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a mutant ended: "derived", a refusal's code, "fault", "died by signal N", "exited" or "timeout"."""

    how: str
    name: str
    held_bytes: int
    """Resident memory of the render process afterwards; 0 if it has exited."""

    @property
    def is_failure(self) -> bool:
        """Whether there was neither a derivative nor a refusal."""
        return self.how in ("fault", "timeout", "exited") or self.is_death

    @property
    def is_death(self) -> bool:
        """Whether a signal killed the render process."""
        return self.how.startswith("died")


def seeds() -> dict[str, bytes]:
    """Return small sound files of every format, by a name with their extension."""
    plain = pixels(SMALL).copy(interpretation="srgb")
    alpha = plain.bandjoin(plain.extract_band(1)).cast("uchar").copy(interpretation="srgb")
    wide = plain.icc_transform("p3", input_profile="srgb")
    deep = (plain * 257).cast("ushort").copy(interpretation="rgb16")
    inks = plain.icc_transform("cmyk", input_profile="srgb")
    found = {
        "plain.jpg": plain.jpegsave_buffer(),
        "progressive.jpg": wide.jpegsave_buffer(interlace=True, profile="p3"),
        "restarts.jpg": plain.jpegsave_buffer(restart_interval=2),
        "inks.jpg": inks.jpegsave_buffer(profile="cmyk"),
        "plain.png": wide.pngsave_buffer(profile="p3"),
        "interlaced.png": alpha.pngsave_buffer(interlace=True),
        "deep.png": deep.pngsave_buffer(),
        "palette.png": plain.pngsave_buffer(palette=True),
        "plain.webp": wide.webpsave_buffer(profile="p3"),
        "lossless.webp": alpha.webpsave_buffer(lossless=True),
        "plain.avif": alpha.heifsave_buffer(compression="av1", effort=0),
    }
    for compression in ("none", "lzw", "deflate", "packbits", "jpeg"):
        found[f"{compression}.tif"] = plain.tiffsave_buffer(compression=compression)
        found[f"{compression}-tiles.tif"] = plain.tiffsave_buffer(
            compression=compression, tile=True, tile_width=32, tile_height=32
        )
    found["lab.tif"] = deep.colourspace("labs").tiffsave_buffer()
    return found | _from_pillow(PIL.Image.open(io.BytesIO(found["plain.jpg"])).convert("RGB"))


def _from_pillow(picture: PIL.Image.Image) -> dict[str, bytes]:
    exif = PIL.Image.Exif()
    exif[274], exif[315], exif[33_432] = 6, "An Artist", "A Copyright"
    turned = [picture.transpose(PIL.Image.Transpose.ROTATE_180), picture]
    made: dict[str, tuple[str, PIL.Image.Image, dict[str, Any]]] = {
        "exif.jpg": ("JPEG", picture, {"exif": exif}),
        "exif.png": ("PNG", picture, {"exif": exif}),
        "ycbcr.tif": ("TIFF", picture.convert("YCbCr"), {}),
        "pages.tif": ("TIFF", picture, {"save_all": True, "append_images": turned}),
        "palette.tif": ("TIFF", picture.quantize(50), {}),
        "plain.gif": ("GIF", picture, {}),
        "moving.gif": ("GIF", picture, {"save_all": True, "append_images": turned, "disposal": 2}),
        "moving.webp": ("WEBP", picture, {"save_all": True, "append_images": turned}),
    }
    found = {}
    for name, (kind, image, options) in made.items():
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found[name] = buffer.getvalue()
    return found | _in_tiles(picture)


def _in_tiles(picture: PIL.Image.Image) -> dict[str, bytes]:
    codecs: tuple[Codec, ...] = ("heic", "avif")
    found = {f"tiles.{codec}": compose(tiled(picture, TILE, codec), codec) for codec in codecs}
    return found | {"plain.heic": compose([coded(picture, "heic")], "heic")}


def mutate(content: bytes, dice: random.Random) -> bytes:
    """Return a file with up to six changes, half of them near its start, where formats declare what follows."""
    mutant = bytearray(content)
    for _ in range(dice.choice([1, 1, 1, 2, 6])):
        place = dice.randrange(max(1, dice.choice([100, 700, len(mutant), len(mutant)]))) % max(1, len(mutant))
        end = min(len(mutant), place + dice.choice([1, 2, 4, 16, 200]))
        match dice.randrange(6):
            case 0:
                mutant[place : place + 1] = bytes((dice.randrange(256),))
            case 1:
                special = dice.choice(_SPECIAL)
                mutant[place : place + len(special)] = special
            case 2:
                del mutant[place:end]
            case 3:
                mutant[place:place] = mutant[place:end]
            case 4:
                mutant[place:place] = dice.randbytes(dice.choice([1, 4, 12]))
            case _:
                del mutant[-dice.choice([1, 2, 9, 1 + len(mutant) // 4]) :]
    return bytes(mutant)


def run(numbers: Iterable[int], *, seed: int, kept: Path) -> Iterator[Ending]:
    """Render the mutants with these numbers; yield for each how it ended. Failures leave their input in `kept`."""
    originals = sorted(seeds().items())
    with RenderProcess() as process, tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            dice = random.Random(f"{seed}-{number}")  # noqa: S311 - reproducible mutants, not cryptography
            name, content = originals[number % len(originals)]
            path = Path(folder, "original")
            path.write_bytes(mutate(content, dice))
            recipe = RECIPES[number // len(originals) % len(RECIPES)]
            how = _ending(process, Render(path=str(path), folder=folder, sizes=recipe))
            ending = Ending(how=how, name=f"{seed}-{number}-{name}", held_bytes=process.held_bytes())
            if ending.is_failure:
                (kept / ending.name).write_bytes(path.read_bytes())
            yield ending


def _ending(process: RenderProcess, question: Render) -> str:
    try:
        answer = process.ask(question, seconds=SECONDS)
    except TimeoutError:
        return "timeout"
    except EOFError as end:
        (status,) = end.args
        return f"died by signal {-status}" if status < 0 else "exited"
    if isinstance(answer, Derived):
        return "derived"
    return answer.code if isinstance(answer, Refusal) else "fault"


def main() -> int:
    """Run from the command line; the exit code is 1 if an answer was neither derivatives nor a refusal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()), help="folder for inputs that failed")
    options = parser.parse_args()
    options.kept.mkdir(parents=True, exist_ok=True)
    endings, started = _Endings(kept=options.kept), time.monotonic()
    with ThreadPoolExecutor(options.processes) as threads:
        shares = [range(first, options.count, options.processes) for first in range(options.processes)]
        list(threads.map(lambda share: endings.note(run(share, seed=options.seed, kept=options.kept)), shares))
    _show(", ".join(f"{how} {times}" for how, times in endings.counts.most_common()))
    _show(f"{time.monotonic() - started:.0f} seconds")
    return int(any(how in ("fault", "timeout", "exited") for how in endings.counts))


@dataclass(kw_only=True)
class _Endings:
    """How often mutants of all threads ended in which way."""

    kept: Path
    counts: Counter[str] = field(default_factory=Counter)
    most_bytes: int = 0
    lock: Lock = field(default_factory=Lock)

    def note(self, endings: Iterable[Ending]) -> None:
        """Count endings, and show failures and progress."""
        for ending in endings:
            with self.lock:
                self.counts[ending.how] += 1
                self.most_bytes = max(self.most_bytes, ending.held_bytes)
                if ending.is_failure:
                    _show(f"{ending.how} {self.kept / ending.name}")
                if (number := self.counts.total()) % SHOWN_EVERY == 0:
                    _show(
                        f"{number} files: {ending.held_bytes / MB:.0f} MB held, {self.most_bytes / MB:.0f} MB at most"
                    )


def _show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
