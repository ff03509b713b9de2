"""One visit of a page: what is painted first, what moves, which files are loaded and how large they are."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pyvips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.page.devtools import Screen, Tab

THIRD_GENERATION = {"offline": False, "latency": 300, "downloadThroughput": 200_000, "uploadThroughput": 96_000}
"""A 3G network: 1.6 Mbit/s down, 768 kbit/s up, and 300 ms of latency. Throughput is in bytes a second."""

PICTURES = "*/files/*"
"""The URLs of pictures."""

_OBSERVE = """
window.shifts = []; window.paints = {};
new PerformanceObserver((list) => list.getEntries().forEach((one) => window.shifts.push(one.value)))
  .observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => list.getEntries().forEach((one) => { window.paints[one.name] = one.startTime; }))
  .observe({ type: "paint", buffered: true });
"""

_LOADED = "[...document.images].filter((img) => img.complete && img.naturalWidth).length"

_READ = """(async () => {
  for (const img of document.images) {
    img.scrollIntoView({ block: "center" });
    if (!img.complete) await new Promise((done) => { img.onload = img.onerror = done; });
  }
  const end = performance.now();
  await Promise.all([...document.images].map((img) => img.decode()));
  scrollTo(0, 0);
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  return {
    end,
    shifts: window.shifts,
    paint: window.paints["first-contentful-paint"],
    images: [...document.images].map((img) => {
      const { x, y, width, height } = img.getBoundingClientRect();
      return { url: img.currentSrc, srcset: img.srcset, box: [x, y, width, height], loaded: img.naturalWidth > 0 };
    }),
  };
})()"""

CELLS = 6
"""Cells along each side to which pictures are shrunk before they are compared: a placeholder shows no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture as the page shows it: the width of the file, the width it needs, and all widths that are offered."""

    url: str
    width: int
    needed: float
    offered: Sequence[int]
    placeholder: float | None
    """CIEDE2000 between the first paint and the picture; None if it is outside of the window."""
    blank: float | None
    """CIEDE2000 between a white box and the picture."""

    @property
    def is_too_large(self) -> bool:
        """Whether a smaller file would do."""
        enough = [width for width in self.offered if width >= self.needed]
        return self.width > min(enough, default=max(self.offered))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What was measured; times in seconds since the navigation, bytes as transferred."""

    shift: float
    shifts: int
    loaded_at_first_paint: int
    first_paint_seconds: float
    end_seconds: float
    page_bytes: int
    picture_bytes: int
    requests: int
    from_cache: int
    pictures: Sequence[Shown]
    first: bytes
    last: bytes


def visit(tab: Tab, url: str, screen: Screen, *, holds_pictures: bool = False) -> Visit:
    """Open a page, take what is painted first, and scroll down to each picture.

    With `holds_pictures`, no picture is loaded before the first paint was seen, however slow this machine is.

    Raises:
        RuntimeError: a picture was not loaded.
    """
    tab.call("Page.navigate", url="about:blank")
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=_OBSERVE)["identifier"]
    if holds_pictures:
        tab.call("Fetch.enable", patterns=[{"urlPattern": PICTURES}])
    tab.events.clear()
    loader = tab.call("Page.navigate", url=url)["loaderId"]
    tab.wait("Page.lifecycleEvent", name="firstContentfulPaint", loaderId=loader)
    first, loaded = tab.screenshot(), tab.evaluate(_LOADED)
    if holds_pictures:
        for paused in tab.of("Fetch.requestPaused"):
            tab.call("Fetch.continueRequest", requestId=paused["requestId"])
        tab.call("Fetch.disable")
    told = tab.evaluate(_READ)
    tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    if missing := [one["url"] for one in told["images"] if not one["loaded"]]:
        raise RuntimeError(f"not loaded: {missing}")
    last = tab.screenshot()
    sizes = {one["requestId"]: one["encodedDataLength"] for one in tab.of("Network.loadingFinished")}
    urls = {one["requestId"]: one["request"]["url"] for one in tab.of("Network.requestWillBeSent")}
    transferred = {urls[one]: round(size) for one, size in sizes.items() if urls.get(one, "").startswith("http")}
    return Visit(
        shift=sum(told["shifts"]),
        shifts=len(told["shifts"]),
        loaded_at_first_paint=loaded,
        first_paint_seconds=told["paint"] / 1000,
        end_seconds=told["end"] / 1000,
        page_bytes=transferred.get(url, 0),
        picture_bytes=sum(size for one, size in transferred.items() if one != url),
        requests=sum(size > 0 for size in transferred.values()),
        from_cache=sum(size == 0 for size in transferred.values()),
        pictures=[_shown(one, first, last, screen) for one in told["images"]],
        first=first,
        last=last,
    )


def _shown(image: dict[str, object], first: bytes, last: bytes, screen: Screen) -> Shown:
    widths = {}
    for candidate in str(image["srcset"]).split(", "):
        address, width = candidate.split()
        widths[address] = int(width.removesuffix("w"))
    box = [float(side) for side in image["box"]]  # type: ignore[attr-defined] # four numbers
    placeholder = blank = None
    if box[1] + box[3] <= screen.height:
        picture = _cells(last, box, screen)
        placeholder = difference(_cells(first, box, screen), picture)
        blank = difference(np.full_like(picture, 255), picture)
    return Shown(
        url=str(image["url"]),
        width=widths[str(image["url"])],
        needed=box[2] * screen.density,
        offered=sorted(widths.values()),
        placeholder=placeholder,
        blank=blank,
    )


def _cells(screenshot: bytes, box: Sequence[float], screen: Screen) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a box of a screenshot, shrunk to a few cells."""
    x, y, width, height = (side * screen.density for side in box)
    with PIL.Image.open(io.BytesIO(screenshot)) as window:
        cut = window.convert("RGB").resize((CELLS, CELLS), PIL.Image.Resampling.BOX, (x, y, x + width, y + height))
    return np.asarray(cut)


def difference(
    one: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], other: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> float:
    """Return the mean CIEDE2000 of two small pictures."""
    images = [
        pyvips.Image.new_from_array(cells).copy(interpretation="srgb").colourspace("lab") for cells in (one, other)
    ]
    return float(images[0].dE00(images[1]).avg())
