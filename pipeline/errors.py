"""Errors that an original can cause, as a tree.

Refused                     the render process rejects this original: no derivatives are rendered
├── Unreadable              the file is not an image that can be decoded
│   ├── NotAnImage          the file does not start with known magic bytes
│   ├── UnsupportedFormat   the format is recognised but not supported
│   └── Corrupt             the file starts as an image, but is truncated or invalid
└── TooLarge                the image exceeds a limit of this service
    ├── TooManyPixels
    ├── TooManyFrames
    └── NeedsTooMuchMemory
"""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):
    """An original that cannot be rendered; `str()` is a sentence with the reason and the remedy."""

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str, *, cause: str = "") -> None:
        super().__init__(detail)
        self.cause = cause
        """The decoder's own message, for the log; callers do not get it."""


class Unreadable(Refused):
    """The file is not an image that can be decoded."""

    code = "unreadable"


class NotAnImage(Unreadable):
    """The file does not start with the magic bytes of any known image format."""

    code = "not-an-image"


class UnsupportedFormat(Unreadable):
    """The format is recognised but not supported."""

    code = "unsupported-format"


class Corrupt(Unreadable):
    """The file starts as an image, but is truncated or invalid."""

    code = "corrupt"


class TooLarge(Refused):
    """The image exceeds a limit of this service."""

    code = "too-large"


class TooManyPixels(TooLarge):
    """One frame (width x height) exceeds the pixel limit, or the decoder's own limit."""

    code = "too-many-pixels"


class TooManyFrames(TooLarge):
    """The file has more frames or pages than the limit."""

    code = "too-many-frames"


class NeedsTooMuchMemory(TooLarge):
    """Rendering would exceed the memory budget of all renders together."""

    code = "needs-too-much-memory"


def _tree(root: type[Refused]) -> list[type[Refused]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


BY_CODE: dict[str, type[Refused]] = {error.code: error for error in _tree(Refused)}
"""Exception classes by error code; a `Refusal` from the render process is converted back with them."""
