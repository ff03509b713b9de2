"""What is known of how, when and where a photograph was taken, as messages and responses have it."""

from __future__ import annotations

from typing import Literal

import msgspec

Doubt = Literal[
    "comment", "computed", "cut", "date-only", "datum", "default-clock", "digitised", "encoding", "hemisphere",
    "no-fix", "other-offset",
]  # fmt: skip
"""Why a value may be wrong; docs/facts.md explains each."""

Doubted = Literal["taken_at", "camera", "lens", "exposure", "place", "creator", "copyright", "licence", "caption"]
"""The fields that may be uncertain."""


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """The maker and the model of a camera."""

    make: str | None = None
    model: str | None = None


class Lens(msgspec.Struct, frozen=True, kw_only=True):
    """The maker and the model of a lens."""

    make: str | None = None
    model: str | None = None


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """How a photograph was exposed: time in seconds, focal lengths in millimetres, bias in EV."""

    seconds: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length: float | None = None
    focal_length_35mm: float | None = None
    bias: float | None = None
    flash: bool | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a camera was: degrees of WGS 84, north and east positive; altitude and accuracy in metres."""

    latitude: float
    longitude: float
    altitude: float | None = None
    accuracy: float | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the metadata of an original contains; None where it has no plausible value.

    `width` and `height` are in pixels, upright. `taken_at` is in ISO 8601, with an offset only if the file has one.
    `uncertain` has the reasons for which a field may be wrong.
    """

    format: str
    width: int
    height: int
    taken_at: str | None = None
    camera: Camera | None = None
    lens: Lens | None = None
    exposure: Exposure | None = None
    place: Place | None = None
    creator: str | None = None
    copyright: str | None = None
    licence: str | None = None
    caption: str | None = None
    uncertain: dict[Doubted, tuple[Doubt, ...]] = {}


MOST_CHARACTERS = {"make": 200, "model": 200, "creator": 500, "copyright": 500, "licence": 500, "caption": 4000}
"""The longest texts, in characters; what is longer is cut, and then uncertain."""

RANGES = {
    "seconds": (1e-9, 1e6),
    "f_number": (0.1, 1000.0),
    "iso": (1.0, 1e8),
    "focal_length": (0.01, 1e5),
    "focal_length_35mm": (0.01, 1e5),
    "bias": (-100.0, 100.0),
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
    "altitude": (-12_000.0, 100_000.0),
    "accuracy": (0.0, 1e7),
}
"""The least and the greatest value of each number; others are nonsense."""

YEARS = (1826, 2100)
"""The first photograph, and far beyond any clock that is set."""

CONTROL = r"[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff\ufeff]"
"""Characters that are removed from texts: controls, except the line feed, and marks that change the order of others."""

TIME = (
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
"""The form of `taken_at`."""
