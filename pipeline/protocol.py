"""Messages between the service, a fork server and its children, as JSON.

The service starts a fork server, which sends `Ready` once. For each original the service sends `Fork` with two sockets,
the child's channel and its log, and gets `Forked`. It ends a child with `Reap`, and gets `Reaped`.

On its channel, a child receives one request, and sends and receives one message a line:

- `Render`: the child sends `Probed` and waits for `Proceed`. It then sends `Made` for each size, and `Finished`.
- `Compare`: the child sends `Compared`.

In place of any of these, it may send `Refusal` or `Fault` as its last message. Files are passed by local path; no
pixels travel over a channel.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pipeline.size import Size

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "262144",
    "MALLOC_TRIM_THRESHOLD_": "1048576",
    "PYTHONNODEBUGRANGES": "1",
    "PYTHONOPTIMIZE": "2",
}
"""Environment variables for glibc and Python that keep a render process's memory low.

They take effect only when the process starts. After 100 mixed photographs a process held 118 MB with `MALLOC_ARENA_MAX`
alone, and 48 MB with a `MALLOC_MMAP_THRESHOLD_` of 64 KiB in addition. That threshold costs 10 to 14 % of CPU; 256 KiB
recovers 2 to 6 % of it and holds 4 to 7 MB more. With a `MALLOC_TRIM_THRESHOLD_` of 1 MiB, the heap does not shrink and
grow for every strip of lines: of 15,000 page faults while a photograph is decoded, 500 remain. `PYTHONOPTIMIZE=2` drops
docstrings and assertions, which saves 0.5 MB if the bytecode can be cached (compiling it at each start would take 2
MB). `PYTHONNODEBUGRANGES=1` drops the columns of tracebacks, which saves another 0.25 MB.
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


LQIP_PREFIX = "data:image/webp;base64,"

LQIP_CHARACTERS = 400
"""The longest `Preview.lqip`: all metadata of a derivative together must fit into 2,000 bytes."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a page shows of a picture before it is loaded.

    `color` is the dominant colour as `#rrggbb`, `lqip` a tiny WebP as a data URI, `thumbhash` a ThumbHash in base64.
    """

    color: str
    lqip: str
    thumbhash: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a picture from its original; it is stored with the derivative of its base size.

    `width` and `height` are those of the original in pixels, after the orientation is applied. `preview` is None if it
    cannot be read.
    """

    width: int
    height: int
    format: str
    animated: bool
    preview: Preview | None


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """One derivative, as a local file; the one of the base size has the summary of the picture."""

    size: str
    path: str
    width: int
    height: int
    bytes: int
    content_type: str
    profile: str
    """Render profile: our rendering version, the libvips version and a CRC-32 of the recipe; see `render_profile`."""
    summary: Summary | None = None


class Derived(msgspec.Struct, frozen=True):
    """What the service made of the answers of a child: the wanted derivatives in the order of the recipe."""

    info: ImageInfo
    derivatives: tuple[Rendered, ...]


class Fork(msgspec.Struct, frozen=True, tag="fork"):
    """Request a child; the message carries two sockets: its channel, and where it writes its log."""


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    """The response to `Fork`; `pid` is 0 if the kernel refused to fork."""

    pid: int


class Reap(msgspec.Struct, frozen=True, tag="reap"):
    """Request to collect the exit status of a child; until then its process id is not used again."""

    pid: int


class Reaped(msgspec.Struct, frozen=True, tag="reaped"):
    """The response to `Reap`, once the child has ended: its exit status, or minus the number of its signal."""

    pid: int
    status: int


SandboxLevel = Literal["require", "best", "off"]
"""What to do if the kernel lacks Landlock or seccomp: fail, or go on without; or use neither."""


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel enforces on a process that opens originals.

    `landlock` is the version of Landlock's ABI, 0 if it is not in force. `missing` has a sentence on each part that is
    not.
    """

    landlock: int = 0
    seccomp: bool = False
    missing: tuple[str, ...] = ()


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The fork server is ready for requests.

    `libvips` is the version that its children render with, `sandbox` what the kernel enforces on them.
    """

    libvips: str
    sandbox: InForce = InForce()


class Render(msgspec.Struct, frozen=True, tag="render"):
    """Request derivatives of the original at `path`, written to `folder` as files with the names of the sizes.

    `sizes` is always the whole recipe; `wanted` names the sizes to render, all if empty. Smaller sizes are shrunk from
    larger ones, so the whole recipe is needed to render a size to the same bytes in every request. `first` names the
    wanted size that may be encoded before all others; empty if none is.
    """

    path: str
    folder: str
    sizes: tuple[Size, ...]
    wanted: tuple[str, ...] = ()
    first: str = ""
    limits: Limits = Limits()


class Probed(msgspec.Struct, frozen=True, tag="probed"):
    """The first response to `Render`; `first_bytes` is the memory for encoding `first` before larger sizes."""

    info: ImageInfo
    first_bytes: int = 0


class Proceed(msgspec.Struct, frozen=True, tag="proceed"):
    """The memory is reserved; `first` is encoded before all other sizes, if it is not empty."""

    first: str = ""


class Made(msgspec.Struct, frozen=True, tag="made"):
    """The derivative of one size is complete; the one of the base size has a preview, see `base_size`."""

    size: str
    preview: Preview | None = None


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """All wanted derivatives are complete."""


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


Order = Fork | Reap
"""Messages to a fork server."""

Report = Ready | Forked | Reaped
"""Messages of a fork server."""

Answer = Probed | Made | Finished | Compared | Refusal | Fault
"""Messages of a child."""
