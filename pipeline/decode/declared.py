"""What a file declares, read before a decoder opens it: what would take the decoder's memory is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.formats import gif, jpeg, png, tiff, tiff_pages
from pipeline.formats.heif import main_image
from pipeline.formats.spliced import MAX_UNUSED_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.formats.registry import Readable
    from pipeline.formats.spliced import Spliced
    from pipeline.protocol import Limits

_HEIF = ("heic", "avif")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is known of an original before it is opened."""

    view: Spliced | None = None
    """What the decoder is to read instead of the file; None if it is to read the file."""
    exif: bytes = b""
    """An EXIF block that the decoder does not find."""
    animation: gif.Survey | None = None
    """The frames of a GIF."""
    directory: tiff.Directory | None = None
    """The first directory of a TIFF."""
    picture: main_image.MainImage | None = None
    """What the main image of a HEIC or AVIF consists of."""


def declared(path: Path, readable: Readable, limits: Limits) -> Declared:
    """Return what the file declares.

    Raises:
        UnsupportedFormat: it is a TIFF of a kind that would be rendered wrongly.
        TooManyFrames, NeedsTooMuchMemory: it has more parts than the limits allow.
        Corrupt: it has no image data.
    """
    if readable.name == "gif":
        return Declared(animation=gif.survey(path, most_frames=limits.frames))
    if readable.name == "jpeg" and jpeg.head_bytes(path) > MAX_UNUSED_BYTES:
        return Declared(view=jpeg.repair(path))
    if readable.name == "png":
        survey = png.survey(path)
        return Declared(view=survey.view, exif=survey.exif)
    if readable.name == "tiff":
        directory = tiff.directory(path)
        directory.check()
        return Declared(view=tiff_pages.reduced(path, most_pages=limits.frames), directory=directory)
    if readable.name in _HEIF:
        return Declared(picture=main_image.read(path))
    return Declared()
