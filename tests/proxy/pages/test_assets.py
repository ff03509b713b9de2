"""Assets have addresses that change with their bytes, and are kept for a year."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from proxy.pages.assets import CONTENT_TYPES, PACKAGE, Assets

if TYPE_CHECKING:
    from tests.proxy.http.conftest import Site

FOLDERS = ("pages/assets",)
STYLESHEET = "pages/assets/site.css"


def test_the_address_of_an_asset_has_the_hash_of_its_bytes() -> None:
    assets = Assets(FOLDERS)
    path = assets.path(STYLESHEET)
    assert re.fullmatch(r"/assets/site\.[0-9a-f]{12}\.css", path)
    assert assets.find(path.removeprefix("/assets/")) == PACKAGE / STYLESHEET


@pytest.mark.parametrize("name", ["pages/assets/nothing.css", "pages/templates/base.html", "../README.md"])
def test_a_file_outside_the_folders_of_assets_has_no_address(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="is not in a folder of assets"):
        Assets(FOLDERS).path(name)


@pytest.mark.parametrize("name", ["site.css", "site.000000000000.css", "..", "%2e%2e%2fpage.py", "page.py"])
@pytest.mark.anyio
async def test_other_names_below_assets_are_not_found(site: Site, name: str) -> None:
    assert (await site.client.get(f"/assets/{name}")).status_code == 404


@pytest.mark.anyio
async def test_every_asset_is_served_with_its_type_and_kept_for_a_year(site: Site) -> None:
    assets = Assets(FOLDERS)
    for file in (PACKAGE / "pages/assets").iterdir():
        answer = await site.client.get(assets.path(f"pages/assets/{file.name}"))
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        assert answer.headers["content-type"].partition(";")[0] == CONTENT_TYPES[file.suffix]
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_stylesheet_or_icon_refers_to_another_host() -> None:
    for file in (PACKAGE / "pages/assets").iterdir():
        if file.suffix in {".css", ".svg"}:
            text = file.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
            assert not re.search(r"https?:|url\(|@import", text), file.name
