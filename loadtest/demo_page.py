"""The page that `make demo` leaves: the photograph in its sizes, as a site would show it, beside what they contain."""

from __future__ import annotations

import html
import shutil
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Final

import pyvips

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PAGE: Final = "index.html"

_TEMPLATE: Final = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>One photograph in ${count} sizes</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
  h1 { font-size: 1.5rem; line-height: 1.2; }
  img { display: block; height: auto; max-width: 100%; }
  table { border-collapse: collapse; width: 100%; }
  .wide { overflow-x: auto; }
  th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: .4rem .75rem .4rem 0; }
  th { text-align: left; }
  td { font-variant-numeric: tabular-nums; white-space: nowrap; }
  pre { background: color-mix(in srgb, currentColor 8%, transparent); border-radius: .5rem; overflow-x: auto;
        padding: 1rem; white-space: pre-wrap; }
</style>
<h1>One photograph in ${count} sizes</h1>
<p>The browser chooses the size that fits the page. Make the window narrow, reload, and it loads a smaller one.</p>
${picture}
<h2>What each file contains</h2>
<div class="wide" tabindex="0" role="region" aria-label="Files">
<table>
<thead><tr><th scope="col">File<th scope="col">Width x height<th scope="col">Bytes<th scope="col">Place in its metadata
</thead>
<tbody>
${rows}
</tbody>
</table>
</div>
<h2>In your page</h2>
<pre tabindex="0">${source}</pre>
</html>
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFile:
    """A file in the folder of the page."""

    name: str
    title: str
    width: int
    height: int
    bytes: int
    content_type: str
    has_place: bool


def write_page(folder: Path, photo: Path, pictures: Mapping[str, tuple[bytes, str]]) -> Path:
    """Write a photograph, its derivatives and the page into a folder; return the path of the page.

    `pictures` has the bytes and the content type of each size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    original = f"original{photo.suffix.lower()}"
    shutil.copyfile(photo, folder / original)
    files = [_shown(folder / original, "original", "")]
    for size, (body, content_type) in pictures.items():
        path = folder / f"{size}.{content_type.rpartition('/')[2]}"
        path.write_bytes(body)
        files.append(_shown(path, size, content_type))
    picture = _picture(sorted(files[1:], key=lambda one: one.width))
    page = _TEMPLATE.substitute(
        count=len(pictures), picture=picture, source=html.escape(picture), rows="\n".join(map(_row, files))
    )
    (folder / PAGE).write_text(page, encoding="utf-8")
    return (folder / PAGE).resolve()


def _shown(path: Path, title: str, content_type: str) -> ShownFile:
    image = pyvips.Image.new_from_file(str(path))
    width, height = image.width, image.height
    if "orientation" in image.get_fields() and image.get("orientation") >= 5:  # noqa: PLR2004 - of EXIF: lies on its side
        width, height = height, width
    return ShownFile(
        name=path.name,
        title=title,
        width=width,
        height=height,
        bytes=path.stat().st_size,
        content_type=content_type,
        has_place=any("GPSL" in field for field in image.get_fields()),  # GPSLatitude, GPSLongitude
    )


def _picture(files: Sequence[ShownFile]) -> str:
    """Return the element that shows the sizes, from the narrowest to the widest."""
    by_width = {one.width: one for one in files}
    widest = [*by_width.values()][-1]
    srcset = ",\n                  ".join(f"{one.name} {one.width}w" for one in by_width.values())
    return (
        "<picture>\n"
        f'  <source type="{widest.content_type}"\n          srcset="{srcset}"\n'
        '          sizes="(min-width: 60rem) 58rem, 100vw">\n'
        f'  <img src="{widest.name}" width="{widest.width}" height="{widest.height}" alt="The photograph">\n'
        "</picture>"
    )


def _row(one: ShownFile) -> str:
    return (
        f'<tr><th scope="row"><a href="{one.name}">{one.title}</a><td>{one.width} x {one.height}<td>{one.bytes:,}'
        f"<td>{'yes' if one.has_place else 'no'}"
    )
