"""The questions asked of a render process and the answers it gives, one JSON document a line each.

A process says `Ready` once when it can work, then answers every question with exactly one line. Files are named
by path on the local disk; no pixels travel over the pipe.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pipeline.size import Size

ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "PYTHONOPTIMIZE": "2"}
"""What glibc and Python have to be told when a render process starts, so that it holds little and gives back the rest.

After 100 mixed photographs a process held 118 MB with the first alone, 48 MB with a threshold of 64 KiB beside it. That
costs 10 to 14 % of CPU; 256 KiB gives back 2 to 6 % of it and holds 4 to 7 MB more. Python without docstrings and
assertions holds 0.5 MB less, where its bytecode can be kept (compiling it at each start would take 2 MB).
"""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of an original is taken on.

    `pixels` counts width x height of one frame, `frames` counts the frames or pages in the file. An animation of more
    than `animation_pixels`, all its frames together, is not refused: its first frame is the picture.
    """

    pixels: int = 100_000_000
    frames: int = 1000
    animation_pixels: int = 25_000_000


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What an original is, from its header alone.

    `width` and `height` are in pixels after the orientation is applied: as a person sees the picture.
    `render_bytes` is the peak memory, in bytes, that rendering it is expected to take.
    """

    format: str
    width: int
    height: int
    bands: int
    bits: int
    frames: int
    orientation: int
    has_alpha: bool
    is_progressive: bool
    render_bytes: int


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """One derivative, as a file in the folder that the question named."""

    size: str
    path: str
    width: int
    height: int
    bytes: int
    content_type: str
    profile: str
    """Render profile: a hash of the recipe, the library's version and our own rendering version."""


class Probe(msgspec.Struct, frozen=True, tag="probe"):
    """Ask what the original at `path` is, and what rendering `sizes` of it will take."""

    path: str
    sizes: tuple[Size, ...] = ()
    limits: Limits = Limits()


class Render(msgspec.Struct, frozen=True, tag="render"):
    """Ask for derivatives of the original at `path`, written into `folder`.

    `sizes` is always the whole recipe, because every derivative is made from one shared picture that the largest size
    decides; `wanted` names those to make, all when empty. So its bytes are the same whatever is asked along with it.
    """

    path: str
    folder: str
    sizes: tuple[Size, ...]
    wanted: tuple[str, ...] = ()
    limits: Limits = Limits()


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The process can work; it renders with this version of libvips."""

    libvips: str


class Probed(msgspec.Struct, frozen=True, tag="probed"):
    """The answer to `Probe`."""

    info: ImageInfo


class Derived(msgspec.Struct, frozen=True, tag="derived"):
    """The answer to `Render`: the wanted derivatives in the order of `sizes`."""

    info: ImageInfo
    derivatives: tuple[Rendered, ...]


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The answer when the original cannot be rendered: an error's code and its sentence."""

    code: str
    detail: str


class Inspected(msgspec.Struct, frozen=True, kw_only=True, tag="seen"):
    """What one file of two that are compared is; `leaks` names the kinds of metadata in it."""

    info: ImageInfo
    traces: tuple[str, ...]


class Similarity(msgspec.Struct, frozen=True, kw_only=True):
    """How alike two pictures are, as people see them; the new one is turned first, if that makes them alike."""

    turn: str
    """How the new one lies beside the old one: "" where it lies the same."""
    score: float | None
    """SSIMULACRA2 of the parts that differ most: 100 the same, 90 hard to tell apart, 70 visible, 30 bad; None for
    pictures too small to have one."""
    hash_bits: int
    """How many of the 64 bits of a difference hash are not the same: up to 10 is the same picture to most people."""
    colour: float
    """Mean CIEDE2000 of 64 x 64 parts: below 1 nobody sees it, above 3 everybody does."""
    alpha: float
    """Mean difference in opacity, in levels of 255."""
    detail: float
    """Fine detail of the new one in shares of the old one's."""
    profile: Literal["", "old", "new"]
    """Whose colours have lost the profile that they need, if it is that which makes the difference."""


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """Ask how alike the pictures at two paths are, small copies of them in `folder`; one may not be there."""

    folder: str
    old: str | None
    new: str | None
    limits: Limits = Limits(pixels=40_000_000)


class Compared(msgspec.Struct, frozen=True, kw_only=True, tag="compared"):
    """The answer to `Compare`; `pictures` names the small copies by "old", "new" and "difference"."""

    old: Inspected | Refusal | None
    new: Inspected | Refusal | None
    likeness: Similarity | None
    pictures: dict[str, str]


Question = Probe | Render
Answer = Ready | Probed | Derived | Compared | Refusal
