"""A contact sheet: photographs beside their placeholders as a browser shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.benchmarks.page.devtools import Screen, browsing
from tests.benchmarks.page.gallery import served

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WIDTH, COLUMNS = 110, 2

_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 8px; background: #fff; display: grid; gap: 8px; grid-template-columns: repeat({columns}, max-content) }}
div {{ display: flex; gap: 4px }} i {{ display: block }}
</style>{rows}
<script type="module">{decoder}
for (const box of document.querySelectorAll("[data-hash]")) {{
  const hash = Uint8Array.from(atob(box.dataset.hash), (character) => character.charCodeAt(0));
  box.style.background = `url(${{thumbHashToDataURL(hash)}}) center/100% 100% no-repeat`;
}}
window.done = true;
</script>"""


def sheet(pictures: Sequence[dict[str, Any]], folder: Path, *, base: str, decoder: str) -> bytes:
    """Return a PNG: of each picture from the left the photograph, the LQIP, the ThumbHash and the colour.

    `decoder` is the source of the package `thumbhash`, whose author designed the format.
    """
    rows = "".join(_row(picture, base) for picture in pictures)
    page = _PAGE.format(columns=COLUMNS, rows=rows, decoder=decoder)
    screen = Screen(width=COLUMNS * (4 * WIDTH + 20) + 8, height=_height(pictures), density=1)
    with served(page.encode()) as url, browsing(folder, screen) as tab:
        loader = tab.call("Page.navigate", url=url)["loaderId"]
        tab.wait("Page.lifecycleEvent", name="networkIdle", loaderId=loader)
        tab.evaluate("Promise.all([...document.images].map((img) => img.decode()))")
        if not tab.evaluate("window.done"):
            raise RuntimeError("the script of the page failed")
        return tab.screenshot()


def _row(picture: dict[str, Any], base: str) -> str:
    height = _shown_height(picture)
    small = base + min(picture["sizes"], key=lambda size: size["width"])["url"]
    box = f"width:{WIDTH}px;height:{height}px"
    lqip, thumbhash = picture["placeholder"]["lqip"], picture["placeholder"]["thumbhash"]
    return (
        f'<div><img src="{small}" width={WIDTH} height={height}>'
        f'<i style="{box};background:{picture["color"]} url({lqip}) center/cover no-repeat"></i>'
        f'<i style="{box}" data-hash="{thumbhash}"></i><i style="{box};background:{picture["color"]}"></i></div>'
    )


def _shown_height(picture: dict[str, Any]) -> int:
    height: int = round(WIDTH * picture["height"] / picture["width"])
    return height


def _height(pictures: Sequence[dict[str, Any]]) -> int:
    heights = [_shown_height(picture) for picture in pictures]
    rows = [max(heights[row : row + COLUMNS]) for row in range(0, len(heights), COLUMNS)]
    return sum(rows) + 8 * (len(rows) + 1)
