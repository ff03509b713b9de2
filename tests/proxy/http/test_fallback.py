"""Errors of page views, as a picture for callers that display pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.http.fallback import FallbackImage
from proxy.http.problems import PROBLEM
from tests.proxy.http.conftest import Site, painted, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PICTURE = {"sec-fetch-dest": "image", "accept": "image/avif,image/webp,*/*;q=0.8"}
MISSING, UNKNOWN_SIZE, NO_KEY = (
    "/img/gall/9/9_1_original.jpg/small",
    "/img/gall/9/9_1_original.jpg/huge",
    "/img/..%2f/small",
)


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A service with a picture for errors, which the tests of this module share."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "fallback.jpg").write_bytes(painted(40, 30))
    async with serving(folder, fallback_image=str(folder / "fallback.jpg")) as one:
        yield one


@pytest.mark.anyio
@pytest.mark.parametrize("path", [MISSING, UNKNOWN_SIZE, NO_KEY])
async def test_an_error_has_the_picture_as_its_body_under_the_same_status_and_cache_rules(
    site: Site, path: str
) -> None:
    problem = await site.client.get(path)
    picture = await site.client.get(path, headers=PICTURE)

    assert problem.headers["content-type"] == PROBLEM
    assert (picture.headers["content-type"], picture.content) == ("image/jpeg", painted(40, 30))
    assert picture.status_code == problem.status_code >= 400
    assert picture.headers["cache-control"] == problem.headers["cache-control"]
    assert problem.headers["vary"] == picture.headers["vary"] == "Accept, Sec-Fetch-Dest"


@pytest.mark.anyio
async def test_an_original_that_cannot_be_rendered_has_the_picture_too(site: Site) -> None:
    (site.store / "gall/8").mkdir(parents=True)
    (site.store / "gall/8/8_1_original.jpg").write_bytes(b"no picture")

    answer = await site.client.get("/img/gall/8/8_1_original.jpg/small", headers=PICTURE)

    assert (answer.status_code, answer.content) == (422, painted(40, 30))


@pytest.mark.anyio
async def test_head_describes_the_picture(site: Site) -> None:
    answer = await site.client.head(MISSING, headers=PICTURE)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "image/jpeg")
    assert answer.headers["content-length"] == str(len(painted(40, 30)))


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v1/jobs/none", "/nowhere", "/files/nothing.jpg"])
async def test_errors_of_other_routes_stay_problems(site: Site, path: str) -> None:
    answer = await site.client.get(path, headers=PICTURE)
    assert (answer.headers["content-type"], "vary" in answer.headers) == (PROBLEM, False)


@pytest.mark.anyio
async def test_a_wrong_method_stays_a_problem(site: Site) -> None:
    answer = await site.client.post(MISSING, headers=PICTURE)
    assert (answer.status_code, answer.headers["content-type"]) == (405, PROBLEM)


@pytest.mark.anyio
async def test_without_the_setting_every_error_is_a_problem(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        answer = await site.client.get(MISSING, headers=PICTURE)
    assert (answer.headers["content-type"], "vary" in answer.headers) == (PROBLEM, False)


@pytest.mark.parametrize(
    ("headers", "is_wanted"),
    [
        ({"sec-fetch-dest": "image"}, True),
        ({"sec-fetch-dest": "document", "accept": "image/png"}, False),
        ({"accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"}, True),
        ({"accept": "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"}, True),
        ({"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/png,*/*;q=0.8"}, False),
        ({"accept": "application/json"}, False),
        ({"accept": "image/svg+xml"}, False),
        ({"accept": "*/*"}, False),
        ({"accept": ""}, False),
        ({}, False),
        ({"accept": "image/png;q=inf"}, False),
        ({"accept": ";;;=,/"}, False),
    ],
)
def test_who_displays_pictures(headers: dict[str, str], *, is_wanted: bool) -> None:
    assert FallbackImage(body=b"", content_type="image/png").is_wanted(headers) is is_wanted
