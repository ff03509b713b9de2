"""The pages for people in Chromium: with a mouse, by keyboard alone, and without scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, running
from tests.browser import NEEDED, PHONE, SCREENSHOTS, WIDE, browser, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, ViewportSize

    from tests.browser import Visit

__all__ = ["browser"]

pytestmark = NEEDED

PAINTED = ((2400, 1600), (1800, 2400), (640, 480), (3000, 1000))
WIDTHS = (300, 800, 1200, 2000)
NO_IMAGE = "uploads/broken_original.jpg"
NARROW: ViewportSize = {"width": 360, "height": 740}
PASSWORD = "a long password of tests"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    for number, (width, height) in enumerate(PAINTED):
        paint(folder / f"gall {number}.jpg", Photograph(width=width, height=height, gps=True))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), UI="true", WEBHOOK_SECRETS="", STREAM_CACHE_MB="0") as one:
        yield one


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    """A visit that ends without a complaint, and without a request to another host."""
    with visiting(browser, service.url) as one:
        yield one
        assert (one.complaints, one.elsewhere) == ([], [])


def drop(visit: Visit, files: Sequence[Path]) -> None:
    """Choose files on the page, and wait until each is done or failed."""
    visit.go("/")
    visit.page.set_input_files("#files", files)
    visit.page.locator(".upload .state:is(.good, .bad)").nth(len(files) - 1).wait_for()


def dropped(visit: Visit, file: Path) -> str:
    """Drop one photograph, and return the path of its picture."""
    drop(visit, [file])
    path = visit.page.get_by_role("link", name="Look at the picture").get_attribute("href")
    assert path
    return path


def test_four_photographs_become_sixteen_pictures_of_the_right_sizes(visit: Visit, photographs: list[Path]) -> None:
    drop(visit, photographs)
    pictures = visit.page.locator(".upload .size img")
    assert pictures.count() == 16
    found = []
    for number in range(16):
        pictures.nth(number).scroll_into_view_if_needed()
        found.append(
            pictures.nth(number).evaluate(
                "async (image) => { await image.decode(); return [image.naturalWidth, image.naturalHeight]; }"
            )
        )
    expected = [
        [min(wanted, width), round(height * min(wanted, width) / width)]
        for width, height in PAINTED
        for wanted in WIDTHS
    ]
    assert sorted(found) == sorted(expected)
    assert visit.barriers() == []


def test_each_dropped_photograph_has_its_comparison_html_and_metadata_at_hand(
    visit: Visit, photographs: list[Path]
) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    drop(visit, photographs)
    cards = visit.page.locator(".upload")
    for number in range(4):
        card = cards.nth(number)
        card.get_by_text("Compare with the original").click()
        card.get_by_label("Original | size").fill(str(20 + number))
        original = card.locator(".before img")
        width = original.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }")
        assert [width, card.locator("h2 .name").inner_text()] in [
            [PAINTED[index][0], file.name] for index, file in enumerate(photographs)
        ]
        card.get_by_text("In your page").click()
        card.locator(".copied button").click()
        assert not overlap(card.locator(".copied button"), card.locator(".copied pre"))
        copied = visit.page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("<picture>")
        assert copied == card.locator(".copied code").inner_text()
        assert card.locator(".addresses li").count() == 4
        card.get_by_text("Metadata of the original").click()
        card.get_by_role("link", name="Read the metadata").click()
        card.get_by_text("Painted").first.wait_for()
        assert "47.375" not in card.inner_text()
        card.get_by_role("link", name="show it").click()
        card.get_by_text("47.375").wait_for()
    places = visit.page.locator(".compare").evaluate_all(
        "(boxes) => boxes.map((box) => box.style.getPropertyValue('--place'))"
    )
    assert places == ["20%", "21%", "22%", "23%"]
    assert visit.page.evaluate("new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size") == (
        visit.page.locator("[id]").count()
    )
    assert visit.barriers() == []


def overlap(one: Locator, other: Locator) -> bool:
    """Return whether two elements cover a part of each other."""
    first, second = one.bounding_box(), other.bounding_box()
    assert first
    assert second
    return all(
        first[edge] < second[edge] + second[side] and second[edge] < first[edge] + first[side]  # type: ignore[literal-required] # edges and sides
        for edge, side in (("x", "width"), ("y", "height"))
    )


def test_a_photograph_is_dropped_replayed_and_taken_down_by_keyboard_alone(
    visit: Visit, photographs: list[Path]
) -> None:
    keyboard = visit.page.keyboard
    # From now on, choosers are intercepted; without a listener, that may begin only after the key was pressed.
    visit.page.on("filechooser", lambda _: None)
    visit.go("/")
    reach(visit, "#files")
    with visit.page.expect_file_chooser() as chosen:
        keyboard.press("Enter")
    chosen.value.set_files(photographs[2])
    visit.page.locator(".upload .state.good").wait_for()
    reach(visit, ".upload .live a.button")
    keyboard.press("Enter")
    visit.page.wait_for_url("**/pictures/**")
    reach(visit, ".job .actions button")
    keyboard.press("Enter")
    visit.page.locator(".job .badge:not(.good)").wait_for()
    reach(visit, "a.danger")
    keyboard.press("Enter")
    visit.page.locator("#name").wait_for()
    reach(visit, "#name")
    keyboard.type(visit.page.locator("label[for=name] .key").inner_text())
    keyboard.press("Enter")
    visit.page.locator("main .badge.good").wait_for()
    assert "Took down" in visit.page.locator("main .steps").inner_text()


def reach(visit: Visit, selector: str) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(60):
        visit.page.keyboard.press("Tab")
        if visit.page.evaluate("(selector) => document.activeElement?.matches(selector) ?? false", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def test_a_failed_job_says_why_and_is_replayed(visit: Visit, service: Service, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0" + bytes(2000))
    drop(visit, [broken])
    assert "Why it failed: " in visit.page.locator(".upload").inner_text()
    visit.go("/jobs?status=error")
    visit.page.locator(".causes button").first.click()
    visit.page.wait_for_url("**/jobs?code=*")
    visit.go("/jobs?key=broken")
    row = visit.page.locator("#found .job").first
    row.locator(".actions button").click()
    visit.page.locator("#found .job .badge:is(.quiet, .warn, .bad)").first.wait_for()


def test_a_picture_shows_its_metadata_and_its_place_only_on_request(visit: Visit, photographs: list[Path]) -> None:
    visit.go(dropped(visit, photographs[0]))
    facts = visit.page.locator("#facts")
    assert "Painted" not in facts.inner_text()
    facts.get_by_role("link", name="Read the metadata").click()
    facts.get_by_text("Painted").first.wait_for()
    assert "47.375" not in visit.page.content()
    facts.get_by_role("link", name="show it").click()
    facts.get_by_text("47.375").wait_for()


def test_a_picture_is_compared_with_its_original_by_slider_and_keys(visit: Visit, photographs: list[Path]) -> None:
    visit.go(dropped(visit, photographs[0]))
    visit.page.get_by_text("Compare with the original").click()
    visit.page.locator("#compare-place").fill("20")
    box = visit.page.locator(".compare")
    assert box.evaluate("(box) => box.style.getPropertyValue('--place')") == "20%"
    box.focus()
    visit.page.keyboard.press("ArrowRight")
    assert box.evaluate("(box) => box.style.getPropertyValue('--place')") == "22%"
    visit.page.locator("#compare-zoom").fill("4")
    before = visit.page.locator(".compare .before img")
    assert before.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") == 2400


def test_a_photograph_is_taken_down_once_its_name_is_typed(
    visit: Visit, service: Service, photographs: list[Path]
) -> None:
    path = dropped(visit, photographs[1])
    visit.go(path)
    visit.page.get_by_role("link", name="Take down…").click()
    assert visit.page.locator(".going li").count() >= 5
    visit.page.locator("#name").fill("another.jpg")
    visit.page.get_by_role("button", name="Take down").click()
    assert "nothing was removed" in visit.page.locator("main").inner_text()
    visit.complaints.clear()  # the browser reports the status 400
    assert (service.store / path.removeprefix("/pictures/")).exists()
    visit.page.go_back()
    visit.page.locator("#name").fill(path.rpartition("/")[2])
    visit.page.get_by_role("button", name="Take down").click()
    visit.page.locator("main .badge.good").wait_for()
    assert not (service.store / path.removeprefix("/pictures/")).exists()


def test_everything_is_read_without_scripts(browser: Browser, service: Service, photographs: list[Path]) -> None:
    with visiting(browser, service.url) as with_scripts:
        path = dropped(with_scripts, photographs[0])
    with visiting(browser, service.url, has_scripts=False) as visit:
        for page, text in (
            ("/", "Uploads need JavaScript"),
            ("/jobs", path.rpartition("/")[2]),
            ("/pictures", path.rpartition("/")[2]),
            (path, "xlarge"),
            (f"{path}?facts=read", "Painted"),
            (f"{path}?confirm=takedown", "What will go"),
            ("/status", "Memory in use"),
        ):
            visit.go(page)
            assert text in visit.page.locator("main").inner_text(), page
        visit.go("/jobs?status=error")
        visit.page.get_by_role("button", name="Pause").click()
        assert "paused" in visit.page.locator("main").inner_text()
        visit.page.get_by_role("button", name="Resume").click()
        assert (visit.complaints, visit.elsewhere) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(
    browser: Browser, service: Service, photographs: list[Path], scheme: str
) -> None:
    with visiting(browser, service.url, scheme=scheme) as visit:  # type: ignore[arg-type] # one of the two
        picture = dropped(visit, photographs[0])
        job = visit.page.evaluate(
            "performance.getEntriesByType('resource').map((one) => one.name).find((name) => name.endsWith('/events'))"
        )
        pages = (
            "/",
            "/jobs",
            "/pictures",
            picture,
            f"{picture}?facts=read",
            f"{picture}?confirm=takedown",
            "/status",
            job.removesuffix("/events").removeprefix(service.url),
        )
        for path in pages:
            visit.go(path)
            for size in (WIDE, PHONE):
                visit.page.set_viewport_size(size)
                assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                    f"{path} scrolls sideways"
                )
                if SCREENSHOTS:
                    name = f"{path.split('/')[1].partition('?')[0] or 'drop'}-{len(path)}-{scheme}-{size['width']}.png"
                    visit.page.screenshot(path=SCREENSHOTS / name, full_page=True)
            assert (path, visit.complaints, visit.elsewhere, visit.barriers()) == (path, [], [], [])


def test_a_browser_logs_in_and_out(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path, UI="true", UI_PASSWORD=PASSWORD) as service, visiting(browser, service.url) as visit:
        visit.go("/pictures")
        assert visit.page.url == f"{service.url}/login?next=%2Fpictures"
        assert visit.barriers() == []
        visit.page.get_by_label("Password").fill(PASSWORD)
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**/pictures")
        visit.page.set_viewport_size(NARROW)
        links = visit.page.locator("nav[aria-label=Pages] a")
        assert len({links.nth(number).bounding_box()["y"] for number in range(links.count())}) == 1  # type: ignore[index] # it is shown
        log_out = visit.page.get_by_role("button", name="Log out")
        assert not any(overlap(log_out, links.nth(number)) for number in range(links.count()))
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        log_out.click()
        visit.page.wait_for_url("**/login")
        visit.go("/status")
        assert visit.page.url.endswith("/login?next=%2Fstatus")
        assert (visit.complaints, visit.elsewhere) == ([], [])


def test_no_page_is_shown_in_a_frame(browser: Browser, service: Service, tmp_path: Path) -> None:
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe src="{service.url}/jobs" width="900" height="500"></iframe>')
    with visiting(browser, service.url) as visit:
        visit.page.goto(frame.as_uri())
        visit.page.wait_for_load_state("networkidle")
        assert any("frame-ancestors" in complaint for complaint in visit.complaints)


def test_hostile_names_and_metadata_are_text(browser: Browser, service: Service, tmp_path: Path) -> None:
    name = '<img src=x onerror="document.title=1">\u202egpj.exe_original.jpg'
    photo = tmp_path / "photo.jpg"
    paint(photo, Photograph(width=320, height=240))
    service.put(f"uploads/{name}", photo)
    service.put(f"uploads/{'long' * 50}/{'é' * 100}_original.jpg", photo)
    with visiting(browser, service.url) as visit:
        visit.go("/pictures?prefix=uploads/")
        visit.page.get_by_text("onerror").first.click()
        visit.page.wait_for_url("**/pictures/uploads/**")
        assert visit.page.title().startswith("<img src=x onerror")
        assert "\\u202e" in visit.page.locator("h1").inner_text()
        visit.page.get_by_role("button", name="Render again").click()
        visit.page.wait_for_url("**/jobs/*")
        visit.page.locator(".steps .done").first.wait_for()
        visit.go("/jobs")
        assert visit.page.locator("img[src=x]").count() == 0
        assert (visit.complaints, visit.elsewhere) == ([], [])
