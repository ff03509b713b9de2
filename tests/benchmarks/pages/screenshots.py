"""Takes the pictures of the pages for docs/: `python -m tests.benchmarks.pages.screenshots`.

It paints photographs, drops them on the page of a service of its own, and puts the pages side by side.
"""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from loadtest.service import running
from tests.browser import PHONE, WIDE, chromium, visiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.browser import Visit

DOCS: Final = Path("docs")
GAP: Final = 24
GROUND: Final = (120, 124, 121)

LEAVES: Final = ((74, 110, 52), (104, 132, 62), (60, 92, 66), (128, 118, 60), (88, 120, 80), (52, 82, 48))
GALLS: Final = ((198, 82, 70), (222, 170, 92), (176, 60, 92), (214, 196, 120), (190, 110, 60), (168, 140, 84))
SHAPES: Final = ((2400, 1600), (1600, 2000), (2400, 1800), (2000, 2000), (2600, 1500), (1800, 2400))


@click.command()
def main() -> None:
    """Write docs/pages-wide.png, docs/pages-phone.png, docs/pages-picture.png and docs/pages-status.png."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        photographs = [paint(place / f"gall on a leaf {number + 1}.jpg", number) for number in range(len(SHAPES))]
        broken = place / "cut off.jpg"
        broken.write_bytes(photographs[0].read_bytes()[:60_000])
        with (
            running(place / "service", UI="true", WEBHOOK_SECRETS="", STREAM_CACHE_MB="0") as service,
            chromium() as one,
        ):
            for scheme in ("light", "dark"):
                with visiting(one, service.url, scheme=scheme) as visit:
                    take(visit, [*photographs, broken] if scheme == "light" else photographs[:2], place / scheme)
        sheet(
            place,
            "pages-wide",
            [f"{scheme}/{page}-wide" for scheme in ("light", "dark") for page in ("drop", "jobs", "pictures")],
            3,
            1900,
        )
        sheet(
            place,
            "pages-picture",
            [f"{scheme}/{page}-wide" for scheme in ("light", "dark") for page in ("picture", "takedown")],
            4,
            1900,
        )
        sheet(
            place,
            "pages-status",
            [f"{scheme}/{page}-wide" for scheme in ("light", "dark") for page in ("status", "job")],
            4,
            1900,
        )
        names = ("drop", "jobs", "pictures", "picture", "status")
        sheet(
            place, "pages-phone", [f"{scheme}/{page}-phone" for scheme in ("light", "dark") for page in names], 10, 2200
        )


def paint(path: Path, number: int) -> Path:
    """Paint a leaf with galls, out of focus at its edges."""
    chance = random.Random(number)  # noqa: S311 - a picture
    width, height = SHAPES[number]
    leaf, gall = LEAVES[number], GALLS[number]
    picture = Image.new("RGB", (width, height), leaf)
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y, wide = chance.randrange(width), chance.randrange(height), chance.randrange(200, 900)
        shade = tuple(max(0, min(255, part + chance.randrange(-28, 28))) for part in leaf)
        draw.ellipse((x - wide, y - wide // 2, x + wide, y + wide // 2), fill=shade)
    picture = picture.filter(ImageFilter.GaussianBlur(60))
    draw = ImageDraw.Draw(picture)
    for step in range(-height, width, height // 5):
        draw.line((step, height, step + height, 0), fill=tuple(part + 26 for part in leaf), width=9)
    picture = picture.filter(ImageFilter.GaussianBlur(4))
    for _ in range(chance.randrange(1, 5)):
        radius = chance.randrange(min(width, height) // 8, min(width, height) // 4)
        left, top = chance.randrange(width - 2 * radius), chance.randrange(height - 2 * radius)
        place_gall(picture, (left, top), radius, gall)
    noise = Image.effect_noise((width, height), 24).convert("RGB")
    picture = ImageChops.overlay(picture, Image.blend(Image.new("RGB", (width, height), (128, 128, 128)), noise, 0.35))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x013B] = "Painted", "Gall Camera", "A. Painter"
    picture.save(path, quality=90, exif=exif)
    return path


def place_gall(picture: Image.Image, corner: tuple[int, int], radius: int, colour: tuple[int, ...]) -> None:
    """Paint a ball with a shadow and a highlight."""
    size = (2 * radius, 2 * radius)
    light = ImageChops.invert(Image.radial_gradient("L")).resize(size)
    ball = Image.composite(
        Image.new("RGB", size, tuple(min(255, part + 60) for part in colour)),
        Image.new("RGB", size, tuple(part // 2 for part in colour)),
        ImageChops.offset(light, -radius // 4, -radius // 4),
    )
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((radius // 12, radius // 12, size[0] - radius // 12, size[1] - radius // 12), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(radius / 40))
    shadow = mask.filter(ImageFilter.GaussianBlur(radius / 6)).point(lambda value: value // 2)
    picture.paste((10, 14, 8), (corner[0] + radius // 5, corner[1] + radius // 5), shadow)
    picture.paste(ball, corner, mask)


def take(visit: Visit, files: Sequence[Path], folder: Path) -> None:
    """Drop the photographs, then take every page, wide and on a phone."""
    folder.mkdir()
    visit.go("/")
    visit.page.set_input_files("#files", files)
    visit.page.locator(".upload .state:is(.good, .bad)").nth(len(files) - 1).wait_for()
    snap(visit, folder / "dropped")
    picture = visit.page.get_by_role("link", name="Look at the picture").first.get_attribute("href") or ""
    visit.go("/jobs?status=done")
    job = visit.page.locator("#found .job a").first.get_attribute("href") or ""
    for name, path in (
        ("drop", "/"),
        ("jobs", "/jobs"),
        ("pictures", "/pictures"),
        ("picture", f"{picture}?facts=read"),
        ("takedown", f"{picture}?confirm=takedown"),
        ("status", "/status"),
        ("job", job),
    ):
        visit.go(path)
        if name == "picture":
            visit.page.get_by_text("Compare with the original").click()
        snap(visit, folder / name)


def snap(visit: Visit, path: Path) -> None:
    """Take the page that is open in both widths; lazy pictures are loaded first."""
    for name, size in (("wide", WIDE), ("phone", PHONE)):
        visit.page.set_viewport_size(size)
        visit.page.evaluate("for (const image of document.images) image.loading = 'eager'")
        visit.page.wait_for_load_state("networkidle")
        visit.page.screenshot(path=path.with_name(f"{path.name}-{name}.png"), full_page=True)


def sheet(folder: Path, name: str, pages: Sequence[str], columns: int, width: int) -> None:
    """Put pages side by side, each as high as 1.3 times its width or less, and write them in few colours."""
    pictures = [Image.open(folder / f"{page}.png").convert("RGB") for page in pages]
    most = 1.25 if pictures[0].width > PHONE["width"] else 2.4
    cut = [one.crop((0, 0, one.width, min(one.height, round(most * one.width)))) for one in pictures]
    rows = [cut[first : first + columns] for first in range(0, len(cut), columns)]
    heights = [max(one.height for one in row) for row in rows]
    whole = Image.new("RGB", (columns * (cut[0].width + GAP) + GAP, sum(heights) + GAP * (len(rows) + 1)), GROUND)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for number, one in enumerate(row):
            whole.paste(one, (GAP + number * (one.width + GAP), top))
        top += height + GAP
    small = whole.resize((width, round(whole.height * width / whole.width)), Image.Resampling.LANCZOS)
    small.quantize(160).save(DOCS / f"{name}.png", optimize=True)
    print(f"docs/{name}.png: {(DOCS / f'{name}.png').stat().st_size:,} bytes, {small.width} x {small.height}")


if __name__ == "__main__":
    main()
