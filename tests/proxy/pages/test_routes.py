"""`/`, `/problems` and `/schema`: pages for browsers, JSON or the former response for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.http.problem_catalog import catalog

if TYPE_CHECKING:
    from tests.proxy.http.conftest import Site

pytestmark = pytest.mark.anyio

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/", "/schema", "/problems", "/problems/not-found"])
async def test_a_browser_gets_a_page_with_a_strict_policy(site: Site, path: str) -> None:
    answer = await site.client.get(path, headers=BROWSER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.text.startswith("<!doctype html>")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html", "text/html;q=inf"])
async def test_others_still_find_nothing_at_the_root(site: Site, accept: str) -> None:
    answer = await site.client.get("/", headers={"accept": accept})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    assert answer.headers["vary"] == "Accept"


async def test_every_problem_type_has_a_page_and_a_description_for_programs(site: Site) -> None:
    listed = (await site.client.get("/problems")).json()
    assert [one["type"] for one in listed] == [kind.path for kind in catalog().values()]
    for kind in catalog().values():
        page = await site.client.get(kind.path, headers=BROWSER)
        assert (page.status_code, page.headers["vary"]) == (200, "Accept")
        described = (await site.client.get(kind.path)).json()
        assert described in listed
        assert described["remedy"] == kind.remedy


async def test_an_unknown_problem_type_is_not_found(site: Site) -> None:
    answer = await site.client.get("/problems/%3Cscript%3E", headers=BROWSER)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_the_type_of_a_response_is_the_address_of_its_page(site: Site) -> None:
    problem = (await site.client.get("/v1/jobs/nothing")).json()
    assert (await site.client.get(problem["type"], headers=BROWSER)).status_code == 200


async def test_pages_answer_head_without_a_body(site: Site) -> None:
    for path in ("/", "/schema", "/problems", "/problems/not-found"):
        answer = await site.client.head(path, headers=BROWSER)
        assert answer.status_code == 200
