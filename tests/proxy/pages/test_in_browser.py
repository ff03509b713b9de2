"""The pages in Chromium: they load nothing from elsewhere, complain of nothing, and are accessible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import SECRET, Service, running
from tests.browser import NEEDED, PHONE, SCREENSHOTS, WIDE, browser, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

__all__ = ["browser"]

pytestmark = NEEDED

KEY = "gall/58/58_1_original.jpg"
PAGES = ("/", "/schema", "/problems", "/problems/not-found")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with running(folder) as one:
        paint(folder / "photo.jpg", Photograph(width=640, height=480))
        one.put(KEY, folder / "photo.jpg")
        yield one


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_and_loads_nothing_from_elsewhere(
    browser: Browser, service: Service, path: str, scheme: str
) -> None:
    with visiting(browser, service.url, scheme=scheme) as visit:  # type: ignore[arg-type] # one of the two
        visit.go(path)
        for size in (WIDE, PHONE):
            visit.page.set_viewport_size(size)
            assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
            if SCREENSHOTS:
                name = f"{path.strip('/').replace('/', '-') or 'start'}-{scheme}-{size['width']}.png"
                visit.page.screenshot(path=SCREENSHOTS / name)
        assert (visit.complaints, visit.elsewhere, visit.barriers()) == ([], [], [])


def test_a_signed_job_is_posted_from_the_page_and_found_again(browser: Browser, service: Service) -> None:
    with visiting(browser, service.url) as visit:
        visit.go("/schema")
        visit.page.get_by_label("Secret").fill(SECRET)
        post = visit.page.locator("#createJob .try")
        post.locator("summary").click()
        post.get_by_role("button").click()
        post.locator(".result .badge").wait_for()
        assert post.locator(".result .badge").inner_text() == "202 Accepted"
        listed = visit.page.locator("#listJobs .try")
        listed.locator("summary").click()
        listed.get_by_label("key").fill(KEY)
        listed.get_by_role("button").click()
        listed.locator(".result pre").wait_for()
        assert KEY in listed.locator(".result pre").inner_text()
        assert (visit.complaints, visit.elsewhere, visit.barriers()) == ([], [], [])


def test_a_wrong_secret_is_explained_on_the_page(browser: Browser, service: Service) -> None:
    with visiting(browser, service.url) as visit:
        visit.go("/schema")
        visit.page.get_by_label("Secret").fill("whsec_*")
        queue = visit.page.locator("#getQueue .try")
        queue.locator("summary").click()
        queue.get_by_role("button").click()
        queue.locator(".result .notice").wait_for()
        assert queue.locator(".result").inner_text() == "The secret is not whsec_ followed by base64."


def test_a_request_that_deletes_is_sent_only_after_a_yes(browser: Browser, service: Service) -> None:
    derivative = service.store / KEY.replace("original", "small")
    derivative.write_bytes(b"old")
    with visiting(browser, service.url) as visit:
        visit.go("/schema")
        sent: list[str] = []
        visit.page.on("request", lambda request: sent.append(request.method) if "/v1/" in request.url else None)
        visit.page.get_by_label("Secret").fill(SECRET)
        purge = visit.page.locator("#purgeDerivatives .try")
        purge.locator("summary").click()
        purge.get_by_label("key").fill(KEY)
        send, asked = purge.get_by_role("button"), visit.page.get_by_role("dialog")
        for refuse in ("Escape", "Enter"):  # the focus is on the button that sends nothing
            send.focus()
            visit.page.keyboard.press("Enter")
            asked.wait_for()
            assert visit.page.evaluate("document.activeElement.innerText") == "Send nothing"
            assert f"DELETE /v1/derivatives/{KEY}" in asked.inner_text()
            assert visit.barriers() == []
            visit.page.keyboard.press(refuse)
            asked.wait_for(state="hidden")
            purge.get_by_text("Nothing was sent.").wait_for()
            assert (sent, derivative.exists()) == ([], True)
        visit.page.keyboard.press("Enter")
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Enter")
        purge.locator(".result .badge").wait_for()
        assert purge.locator(".result .badge").inner_text() == "200 OK"
        assert (sent, derivative.exists()) == (["DELETE"], False)
        assert (visit.complaints, visit.elsewhere) == ([], [])


def test_without_scripts_every_operation_can_be_read(browser: Browser, service: Service) -> None:
    with visiting(browser, service.url, has_scripts=False) as visit:
        visit.go("/schema")
        assert visit.page.locator("#createJob h3").inner_text() == "Create a job"
        assert visit.page.locator(".try:visible, .secret:visible").count() == 0


def test_the_keyboard_reaches_the_content_first(browser: Browser, service: Service) -> None:
    with visiting(browser, service.url) as visit:
        visit.go("/")
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("document.activeElement.id") == "main"
