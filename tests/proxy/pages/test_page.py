"""Pages are escaped, protected by a strict policy, and rendered by a library that is loaded for the first of them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from proxy.pages.assets import PACKAGE
from proxy.pages.page import Pages

BASE = "pages/templates/base.html"

SERVES_NO_PAGE = """
import sys
from proxy.__main__ import main
sys.argv = ["gf-images", "openapi"]
try:
    main()
finally:
    print("jinja2" in sys.modules, file=sys.stderr)
"""

INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)|https?://", re.IGNORECASE)
"""What the policy forbids, or what would leave the host."""


def test_values_are_escaped() -> None:
    page = Pages().render(BASE, title="<img onerror=alert(1)>").decode()
    assert "<title>&lt;img onerror=alert(1)&gt; · Gallformers images</title>" in page


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(Exception, match="'title' is undefined"):
        Pages().render(BASE)


def test_links_and_assets_are_below_the_base_path() -> None:
    page = Pages(base_path="/images").render(BASE, title="Start", current="/schema").decode()
    addresses = re.findall(r'(?:href|src)="([^"#]+)"', page)
    assert addresses
    assert [one for one in addresses if not one.startswith("/images/")] == []
    assert '<a href="/images/schema" aria-current="page">' in page


def test_a_page_may_load_nothing_from_elsewhere_and_be_framed_by_nobody() -> None:
    headers = Pages().response(BASE, title="Start").headers
    policy = headers["Content-Security-Policy"]
    assert policy == (
        "default-src 'self'; img-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_a_page_may_have_more_sources_of_images_and_other_headers() -> None:
    headers = Pages().response(BASE, title="Start", images=("blob:",), headers={"Cache-Control": "no-store"}).headers
    assert "; img-src 'self' blob:; " in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("template", sorted(PACKAGE.glob("*/templates/*.html")), ids=lambda path: path.name)
def test_no_template_has_what_the_policy_forbids(template: object) -> None:
    text = template.read_text(encoding="utf-8")  # type: ignore[attr-defined] # a path
    assert INLINE.findall(text) == []


def test_a_service_without_visitors_does_not_load_the_template_library() -> None:
    run = subprocess.run([sys.executable, "-c", SERVES_NO_PAGE], check=True, capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == "False"
