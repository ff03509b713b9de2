"""Takes the pictures of all pages for docs/: `python -m tests.benchmarks.pages.screenshots`.

It paints photographs, drops them on the page of a service of its own, and takes every page in light and dark, on a wide
screen and on a phone. The four pictures of a page are put side by side.
"""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from loadtest.servers.service import running
from tests.browser import PHONE, chromium, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import ViewportSize

    from tests.browser import Visit

DOCS: Final = Path("docs")
PASSWORD: Final = "the password of a screenshot"
WIDE: Final[ViewportSize] = {"width": 1440, "height": 1000}
MOST_HEIGHT: Final = 1500
"""Where pictures of long pages are cut, in pixels of the page."""

SHEET_WIDTH: Final = 1700
COLOURS: Final = 192
GAP: Final = 24
GROUND: Final = (120, 124, 121)

LEAVES: Final = ((74, 110, 52), (104, 132, 62), (60, 92, 66), (128, 118, 60), (88, 120, 80), (52, 82, 48))
GALLS: Final = ((198, 82, 70), (222, 170, 92), (176, 60, 92), (214, 196, 120), (190, 110, 60), (168, 140, 84))
SHAPES: Final = ((2400, 1600), (1600, 2000), (2400, 1800), (2000, 2000), (2600, 1500), (1800, 2400))


@click.command()
@click.option("--raw", type=click.Path(path_type=Path), help="A folder that keeps every picture in its own size.")
def main(raw: Path | None) -> None:
    """Write docs/pages-<page>.png."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        taken = raw or place / "taken"
        taken.mkdir(parents=True, exist_ok=True)
        photographs = [paint(place / f"gall on a leaf {number + 1}.jpg", number) for number in range(len(SHAPES))]
        broken = place / "cut off.jpg"
        broken.write_bytes(photographs[0].read_bytes()[:60_000])
        with (
            running(
                place / "service", UI="true", UI_PASSWORD=PASSWORD, WEBHOOK_SECRETS="", STREAM_CACHE_MB="0"
            ) as service,
            chromium() as browser,
            visiting(browser, service.url) as visit,
        ):
            for page in opened(visit, [*photographs, broken]):
                snap(visit, page, taken)
                sheet(page, taken)


def opened(visit: Visit, files: Sequence[Path]) -> Iterator[str]:
    """Open every page after the other, and yield its name."""
    page = visit.page
    visit.go("/login")
    yield "login"
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.locator("#files").wait_for(state="attached")
    page.set_input_files("#files", files)
    page.locator(".upload .state:is(.good, .bad)").nth(len(files) - 1).wait_for()
    picture = page.get_by_role("link", name="Look at the picture").first.get_attribute("href") or ""
    page.get_by_text("Compare with the original").first.click()
    page.get_by_text("In your page").first.click()
    yield "dropped"
    visit.go("/jobs?status=done")
    job = page.locator("#found .job a").first.get_attribute("href") or ""
    for name, path in (
        ("drop", "/"),
        ("jobs", "/jobs"),
        ("job", job),
        ("pictures", "/pictures"),
        ("picture", f"{picture}?facts=read"),
        ("takedown", f"{picture}?confirm=takedown"),
        ("status", "/status"),
        ("schema", "/schema"),
        ("problems", "/problems"),
        ("problem", "/problems/too-many-pixels"),
    ):
        visit.go(path)
        if name == "picture":
            page.get_by_text("Compare with the original").click()
        yield name


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


def snap(visit: Visit, name: str, folder: Path) -> None:
    """Take the page that is open in both schemes and both widths; lazy pictures are loaded first."""
    for width, size in (("wide", WIDE), ("phone", PHONE)):
        visit.page.set_viewport_size(size)
        visit.page.evaluate("for (const image of document.images) image.loading = 'eager'")
        visit.page.wait_for_load_state("networkidle")
        for scheme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=scheme)
            visit.page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)


def sheet(page: str, folder: Path) -> None:
    """Put the four pictures of a page side by side, and write them in few colours."""
    states = [f"{page}-{scheme}-{width}.png" for scheme in ("light", "dark") for width in ("wide", "phone")]
    pictures = [Image.open(folder / state).convert("RGB") for state in states]
    cut = [one.crop((0, 0, one.width, min(one.height, MOST_HEIGHT))) for one in pictures]
    height = max(one.height for one in cut)
    whole = Image.new("RGB", (sum(one.width + GAP for one in cut) + GAP, height + 2 * GAP), GROUND)
    left = GAP
    for one in cut:
        whole.paste(one, (left, GAP))
        left += one.width + GAP
    small = whole.resize((SHEET_WIDTH, round(whole.height * SHEET_WIDTH / whole.width)), Image.Resampling.LANCZOS)
    path = DOCS / f"pages-{page}.png"
    small.quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes, {small.width} x {small.height}", flush=True)


if __name__ == "__main__":
    main()
