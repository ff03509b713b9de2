"""Debian's Chromium, driven by Playwright: pages, their requests and complaints, and how accessible they are."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Request, ViewportSize

PROGRAM: Final = "/usr/bin/chromium"

NEEDED: Final = pytest.mark.needs("chromium", "chromium")
"""The mark of tests that use the browser."""

OPTIONS: Final = ("--no-sandbox", "--disable-gpu", "--force-color-profile=srgb")

GRAVE: Final = frozenset({"serious", "critical"})
"""Impacts of axe-core that no page may have."""

WIDE: Final[ViewportSize] = {"width": 1280, "height": 900}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}

MILLISECONDS: Final = 60_000
"""How long a step may take on a busy machine."""

SCREENSHOTS: Final = Path(os.environ["SCREENSHOTS"]) if "SCREENSHOTS" in os.environ else None
"""A folder for pictures of the pages, to be looked at; none are taken without it."""


@dataclass(kw_only=True)  # the library sets attributes of an instance whose method listens
class Visit:
    """A page, and what has happened on it since it was opened."""

    page: Page
    host: str
    complaints: list[str] = field(default_factory=list)
    """Errors of the console and of scripts, violations of the policy included."""
    elsewhere: list[str] = field(default_factory=list)
    """Addresses of other hosts that were requested."""

    def go(self, path: str) -> None:
        """Open a path of the host, and wait until its assets are loaded."""
        self.page.goto(f"{self.host}{path}", wait_until="networkidle")

    def barriers(self) -> list[str]:
        """Return what axe-core finds serious or critical, one line each."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {node['html'][:160]}"
            for one in found
            if one["impact"] in GRAVE
            for node in one["nodes"][:5]
        ]

    def record(self, request: Request) -> None:
        """Note a request that leaves the host."""
        if not request.url.startswith((f"{self.host}/", "blob:", "data:")):
            self.elsewhere.append(request.url)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=[*OPTIONS], timeout=MILLISECONDS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that the tests of a module share; each visit has a context of its own."""
    with chromium() as one:
        yield one


@contextmanager
def visiting(
    browser: Browser,
    host: str,
    *,
    scheme: Literal["light", "dark"] = "light",
    size: ViewportSize | None = None,
    has_scripts: bool = True,
) -> Iterator[Visit]:
    """Yield an empty page in a context of its own; `host` is an address such as `http://127.0.0.1:8080`."""
    context = browser.new_context(
        color_scheme=scheme, viewport=size or WIDE, java_script_enabled=has_scripts, reduced_motion="reduce"
    )
    context.set_default_timeout(MILLISECONDS)
    visit = Visit(page=context.new_page(), host=host)
    visit.page.on("request", visit.record)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("console", lambda message: visit.complaints.append(message.text) if message.type == "error" else None)
    try:
        yield visit
    finally:
        context.close()
