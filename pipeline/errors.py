"""What can be wrong with an original, drawn as a tree.

Refused                     the render process answered: this original gets no derivatives
├── Unreadable              the bytes are not a picture that can be shown
│   ├── NotAnImage          no known magic bytes at the start of the file
│   ├── UnsupportedFormat   a format that is known, but not one that is read here
│   └── Corrupt             begins as a picture, then ends early or makes no sense
└── TooLarge                a picture, but more of it than this service takes on
    ├── TooManyPixels
    ├── TooManyFrames
    └── NeedsTooMuchMemory
"""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):
    """An original that cannot be rendered; `str()` is a sentence that says why and what to do."""

    code: ClassVar[str] = "refused"


class Unreadable(Refused):
    """The bytes are not a picture that can be shown."""

    code = "unreadable"


class NotAnImage(Unreadable):
    """The file begins with no magic bytes of any picture format."""

    code = "not-an-image"


class UnsupportedFormat(Unreadable):
    """A format that is recognised, but not one that is read here."""

    code = "unsupported-format"


class Corrupt(Unreadable):
    """The file begins as a picture, then ends early or makes no sense."""

    code = "corrupt"


class TooLarge(Refused):
    """A picture, but more of it than this service takes on."""

    code = "too-large"


class TooManyPixels(TooLarge):
    """Width x height x frames is above the limit."""

    code = "too-many-pixels"


class TooManyFrames(TooLarge):
    """More frames or pages than the limit."""

    code = "too-many-frames"


class NeedsTooMuchMemory(TooLarge):
    """Rendering would take more memory than all renders together may use."""

    code = "needs-too-much-memory"


def _tree(root: type[Refused]) -> list[type[Refused]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


BY_CODE: dict[str, type[Refused]] = {error.code: error for error in _tree(Refused)}
"""Each error's class by its code: how an answer from the render process becomes an exception again."""
