"""The programs that are measured, and how each is asked to make the same four sizes."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.formats.registry import WRITABLE
from pipeline.protocol import ENVIRONMENT, Render
from pipeline.size import Size
from tests.benchmarks.pipeline.stopwatch import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SIZES = tuple(Size(name=f"w{width}", width=width) for width in (2000, 1200, 800, 300))
"""Those of the live site, the largest first."""

LOSSLESS: Final = "png"

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]

Option = int | str | bool

_SHARPS_NAMES = {
    "Q": "quality",
    "optimize_coding": "optimiseCoding",
    "quant_table": "quantisationTable",
    "interlace": "progressive",
    "trellis_quant": "trellisQuantisation",
    "overshoot_deringing": "overshootDeringing",
    "optimize_scans": "optimiseScans",
    "subsample_mode": "chromaSubsampling",
}
"""What sharp calls libvips' options for a JPEG."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer is asked: every width of the photograph, as files `w<width>.<format>` in the folder."""

    path: str
    folder: str
    widths: tuple[int, ...] = tuple(size.width for size in SIZES)
    format: str = "jpg"
    options: dict[int, dict[str, Option]] = {}
    """What the encoder is told, by width: a small JPEG may be encoded otherwise than a large one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program under the stopwatch; `question` writes the line that asks it for a photograph's four sizes."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    question: Callable[[Path, Path], bytes]

    def start(self) -> Child:
        """Start it, and wait until it says that it is ready."""
        return Child(self.command, environment=self.environment)


def own_environment() -> dict[str, str]:
    """Return the variables with which a child of this Python imports this project."""
    return {"PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])}


def ours(*, quality: int | None = None, lossless: bool = False) -> Program:
    """Give our rendering in one process; with other quality numbers, or with nothing lost in encoding."""
    sizes = SIZES if quality is None else tuple(replace(size, quality=quality) for size in SIZES)
    if lossless:
        sizes = tuple(replace(size, format=LOSSLESS) for size in sizes)
    return Program(
        name="ours",
        command=(sys.executable, str(_HERE / "peers" / "ours.py")),
        environment={**own_environment(), **ENVIRONMENT},
        question=lambda path, folder: msgspec.json.encode(Render(path=str(path), folder=str(folder), sizes=sizes)),
    )


def sharp(tools: Path, *, own_defaults: bool = False, lossless: bool = False) -> Program:
    """Give sharp, one resize after another; with our encoder's settings, or with its own."""
    is_told = not (own_defaults or lossless)
    return _node("sharp", tools, _asking(LOSSLESS if lossless else "jpg", _as_sharp_is_told if is_told else _nothing))


def pillow(tools: Path, *, lossless: bool = False) -> Program:
    """Give Pillow, with its own shrink-on-load (`draft`)."""
    return Program(
        name="Pillow",
        command=(str(tools / "venv" / "bin" / "python"), str(_HERE / "peers" / "with_pillow.py")),
        environment=dict(ENVIRONMENT),
        question=_asking(LOSSLESS if lossless else "jpg", _nothing if lossless else _quality),
    )


def jimp(tools: Path) -> Program:
    """Give Jimp, which the site used so far."""
    return _node("Jimp", tools, _asking("jpg", _quality))


def floor() -> Program:
    """Give what no plan can go below: the decode at our own shrink, the pixels dropped, and four encodes."""
    return Program(
        name="floor",
        command=(sys.executable, str(_HERE / "peers" / "floor.py")),
        environment={**own_environment(), **ENVIRONMENT},
        question=_asking("jpg", lambda size: WRITABLE["jpeg"].options(size, size.width)),
    )


def as_sharp_says(options: Mapping[str, Option]) -> dict[str, Option]:
    """Translate libvips' options for a JPEG; what they leave out is off, as it is in libvips."""
    return {"optimiseCoding": False} | {_SHARPS_NAMES[name]: value for name, value in options.items()}


def _node(name: str, tools: Path, question: Callable[[Path, Path], bytes]) -> Program:
    return Program(
        name=name,
        command=("node", str(_HERE / "peers" / f"with_{name.lower()}.js")),
        environment={"NODE_PATH": str(tools / "node_modules"), **ENVIRONMENT},
        question=question,
    )


def _asking(file_format: str, told: Callable[[Size], Mapping[str, Option]]) -> Callable[[Path, Path], bytes]:
    options = {size.width: dict(told(size)) for size in SIZES}
    return lambda path, folder: msgspec.json.encode(
        Question(path=str(path), folder=str(folder), format=file_format, options=options)
    )


def _nothing(_: Size) -> dict[str, Option]:
    return {}


def _quality(size: Size) -> dict[str, Option]:
    return {"quality": size.quality}


def _as_sharp_is_told(size: Size) -> dict[str, Option]:
    return as_sharp_says(WRITABLE["jpeg"].options(size, size.width))
