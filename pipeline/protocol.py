"""Requests to a render process and its responses, as JSON documents, one per line.

A process sends `Ready` once after it has started, then answers each request with exactly one line. Files are passed by
local path; no pixels travel over the pipe.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pipeline.size import Size

ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "PYTHONOPTIMIZE": "2"}
"""Environment variables for glibc and Python that keep a render process's memory low.

They take effect only when the process starts. After 100 mixed photographs a process held 118 MB with `MALLOC_ARENA_MAX`
alone, and 48 MB with a `MALLOC_MMAP_THRESHOLD_` of 64 KiB in addition. That threshold costs 10 to 14 % of CPU; 256 KiB
recovers 2 to 6 % of it and holds 4 to 7 MB more. `PYTHONOPTIMIZE=2` drops docstrings and assertions, which saves 0.5 MB
if the bytecode can be cached (compiling it at each start would take 2 MB).
"""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on the originals that are accepted.

    `pixels` limits width x height of one frame; `frames` limits the frames or pages in the file. An animation whose
    frames exceed `animation_pixels` in total is not refused: only its first frame is rendered.
    """

    pixels: int = 120_000_000
    frames: int = 1000
    animation_pixels: int = 25_000_000


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Properties of an original, read from its header alone.

    `width` and `height` are in pixels, after the orientation is applied. `render_bytes` is the predicted peak memory,
    in bytes, of rendering it.
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
    """One derivative, written to the folder of the request."""

    size: str
    path: str
    width: int
    height: int
    bytes: int
    content_type: str
    profile: str
    """Render profile: our rendering version, the libvips version and a CRC-32 of the recipe; see `render_profile`."""


class Probe(msgspec.Struct, frozen=True, tag="probe"):
    """Request the properties of the original at `path` and the predicted memory for rendering `sizes` of it."""

    path: str
    sizes: tuple[Size, ...] = ()
    limits: Limits = Limits()


class Render(msgspec.Struct, frozen=True, tag="render"):
    """Request derivatives of the original at `path`, written to `folder`.

    `sizes` is always the whole recipe; `wanted` names the sizes to render, all if empty. Smaller sizes are shrunk from
    larger ones, so the whole recipe is needed to render a size to the same bytes in every request.
    """

    path: str
    folder: str
    sizes: tuple[Size, ...]
    wanted: tuple[str, ...] = ()
    limits: Limits = Limits()


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The process is ready for requests; `libvips` is the version it renders with."""

    libvips: str


class Probed(msgspec.Struct, frozen=True, tag="probed"):
    """The response to `Probe`."""

    info: ImageInfo


class Derived(msgspec.Struct, frozen=True, tag="derived"):
    """The response to `Render`: the wanted derivatives in the order of `sizes`."""

    info: ImageInfo
    derivatives: tuple[Rendered, ...]


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The response for an original that cannot be rendered: an error's code, message, and cause for the log."""

    code: str
    detail: str
    cause: str = ""


class Fault(msgspec.Struct, frozen=True, tag="fault"):
    """The response if our code failed: the traceback, for the log; no caller sees it."""

    trace: str


class Inspected(msgspec.Struct, frozen=True, kw_only=True, tag="seen"):
    """Properties of one of two compared files; `traces` names the kinds of metadata in it."""

    info: ImageInfo
    traces: tuple[str, ...]


class Similarity(msgspec.Struct, frozen=True, kw_only=True):
    """Perceptual similarity of two images.

    If rotating or mirroring the new image makes the two alike, all other values are measured after that.
    """

    turn: str
    """How the new image is rotated or mirrored relative to the old one; "" if it is not."""
    score: float | None
    """Mean SSIMULACRA2 of the parts that differ most: 100 identical, 90 hard to distinguish, 70 visible, 30 bad.

    None if the images are too small for a score.
    """
    hash_bits: int
    """Number of differing bits between the two 64-bit difference hashes; up to 10, most people see the same image."""
    colour: float
    """Mean CIEDE2000 over 64 x 64 parts: below 1 invisible, above 3 obvious."""
    alpha: float
    """Mean difference in opacity, in levels of 0 to 255."""
    detail: float
    """Ratio of the new image's fine detail to the old one's."""
    profile: Literal["", "old", "new"]
    """The side whose missing colour profile explains most of the colour difference; "" if neither does."""


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """Request the similarity of two image files, with small copies of them written to `folder`.

    A path is None if that side has no file.
    """

    folder: str
    old: str | None
    new: str | None
    limits: Limits = Limits(pixels=40_000_000)


class Compared(msgspec.Struct, frozen=True, kw_only=True, tag="compared"):
    """The response to `Compare`.

    `pictures` maps "old", "new" and "difference" to the file names of the small copies.
    """

    old: Inspected | Refusal | None
    new: Inspected | Refusal | None
    likeness: Similarity | None
    pictures: dict[str, str]


Question = Probe | Render
Answer = Ready | Probed | Derived | Compared | Refusal | Fault
