"""Two sides with the same derivatives, except for one planted difference per original."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyvips

from loadtest.paint import GPS, Photograph, pixels
from proxy.stores.base import Attributes
from proxy.stores.file.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = "[sizes.small]\nwidth = 300\n[sizes.medium]\nwidth = 800\n"
SIDES = {"small": (300, 200), "medium": (800, 533)}

CACHE = "public, max-age=86400"
QUALITY = {"old": 92, "new": 84}
"""The sides have different bytes, as from two encoders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One derivative on one side, before it is written."""

    picture: pyvips.Image
    quality: int
    content_type: str = "image/jpeg"
    cache_control: str = CACHE
    keep: str = "none"
    end: int | None = None
    """The number of bytes cut off the end of the file, negative; None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A difference in the medium size: the changed side, the causes that must be reported, and the change."""

    side: str
    causes: frozenset[str]
    change: Callable[[Copy], Copy | None]


def _picture(change: Callable[[pyvips.Image], pyvips.Image]) -> Callable[[Copy], Copy]:
    return lambda copy: Copy(picture=change(copy.picture), quality=copy.quality)


def _enlarged(picture: pyvips.Image) -> pyvips.Image:
    """Shrink to 300 pixels and enlarge again, as the old code of the site did, which resizes one picture in place."""
    small = picture.resize(300 / picture.width, kernel="linear").copy_memory()
    return small.resize(picture.width / small.width, vscale=picture.height / small.height, kernel="linear")


def _stripped(picture: pyvips.Image) -> pyvips.Image:
    """Return the picture converted to Display P3, without the profile."""
    wide = picture.icc_export(output_profile="p3", pcs="xyz").copy_memory()
    wide.remove("icc-profile-data")
    return wide


def _with_gps(picture: pyvips.Image) -> pyvips.Image:
    labelled = picture.copy()
    for name, value in GPS.items():
        labelled.set_type(pyvips.GValue.gstr_type, name, value)
    return labelled


def _plant(side: str, cause: str, change: Callable[[Copy], Copy | None]) -> Plant:
    return Plant(side=side, causes=frozenset({cause}), change=change)


PLANTS = {
    "missing size": _plant("new", "new-missing", lambda _: None),
    "wrong width": _plant("new", "dimensions", _picture(lambda one: one.resize(0.75))),
    "one pixel": _plant("old", "one-pixel", _picture(lambda one: one.resize(1, vscale=(one.height + 1) / one.height))),
    "rotated": _plant("new", "rotated", _picture(lambda one: one.rot90())),
    "mirrored": _plant("new", "mirrored", _picture(lambda one: one.fliphor())),
    "colour shift": _plant("new", "colour", _picture(lambda one: (one * [0.85, 1, 1.12]).cast("uchar"))),
    "P3 stripped": _plant("old", "old-profile-lost", _picture(_stripped)),
    "blurred by enlarging": _plant("old", "old-blurred", _picture(_enlarged)),
    "GPS left in": _plant(
        "old", "old-leaks-gps", lambda copy: Copy(picture=_with_gps(copy.picture), quality=copy.quality, keep="exif")
    ),
    "truncated": _plant(
        "new", "new-unreadable", lambda copy: Copy(picture=copy.picture, quality=copy.quality, end=-2000)
    ),
    "wrong content type": _plant(
        "new",
        "content-type",
        lambda copy: Copy(picture=copy.picture, quality=copy.quality, content_type="application/octet-stream"),
    ),
    "wrong cache header": _plant(
        "new", "cache-control", lambda copy: Copy(picture=copy.picture, quality=copy.quality, cache_control="no-store")
    ),
}
"""The twelve planted differences, by name."""


def key(number: int, name: str = "original") -> str:
    """Return the key of the original with that planted difference, or of its derivative of the size `name`."""
    return f"gall/{number}/{number}_{name}.jpg"


async def fill(folder: Path, side: str, plants: dict[int, Plant], *, prefix: str = "") -> Path:
    """Fill a folder with the derivatives of one side, and with dummy originals, which are never opened."""
    store = FileStore(folder)
    await store.start()
    with TemporaryDirectory() as place:
        for number, plant in plants.items():
            await put(store, prefix + key(number), Path(place, "original"), None)
            for size, sides in SIDES.items():
                copy: Copy | None = Copy(picture=painted(sides), quality=QUALITY[side])
                if plant.side == side and size == "medium" and copy:
                    copy = plant.change(copy)
                if copy:
                    await put(store, prefix + key(number, size), Path(place, size), copy)
    await store.close()
    return folder


async def put(store: FileStore, name: str, path: Path, copy: Copy | None) -> None:
    """Put a derivative into a store; a dummy original if `copy` is None."""
    if copy is None:
        path.write_bytes(b"an original")
        await store.put(name, path, Attributes())
        return
    copy.picture.jpegsave(str(path), Q=copy.quality, keep=copy.keep)
    path.write_bytes(path.read_bytes()[: copy.end])
    await store.put(name, path, Attributes(content_type=copy.content_type, cache_control=copy.cache_control))


@lru_cache
def painted(sides: tuple[int, int]) -> pyvips.Image:
    """Return a generated photograph with fine detail at a size."""
    original = pixels(Photograph(width=1200, height=800, noise=60)).cast("uchar")
    original = original.copy(interpretation="srgb").gaussblur(1.2)
    return original.resize(sides[0] / original.width, vscale=sides[1] / original.height).copy_memory()
