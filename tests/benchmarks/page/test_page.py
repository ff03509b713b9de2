"""A page of painted pictures in Chromium: it never moves, shows placeholders first, and loads no file too large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import SECRET, running
from tests.benchmarks.page.devtools import LACKS, Screen, browsing, is_there
from tests.benchmarks.page.gallery import page, served
from tests.benchmarks.page.visit import visit
from tests.clients.test_python import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.skipif(not is_there(), reason=LACKS), pytest.mark.timeout(600)]

PHONE = Screen(width=412, height=915, density=2.625)
SIDES = ((1600, 1200), (512, 384), (900, 1200))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Yield the descriptions of painted pictures, which the service renders for them, and its URL."""
    folder = tmp_path_factory.mktemp("gallery")
    with running(folder) as service:
        images = client.ImageService(service.url, SECRET)
        found = []
        for number, (width, height) in enumerate(SIDES):
            paint(folder / "photo.jpg", Photograph(width=width, height=height))
            key = f"gall/{number}/{number}_1_original.jpg"
            service.put(key, folder / "photo.jpg")
            found.append(images.picture(key))
        yield found, service.url


def test_nothing_moves_placeholders_come_first_and_no_file_is_too_large(
    tmp_path: Path, gallery: tuple[list[dict[str, Any]], str]
) -> None:
    pictures, base = gallery
    with served(page(pictures, base=base)) as url, browsing(tmp_path, PHONE) as tab:
        cold = visit(tab, url, PHONE, holds_pictures=True)
        warm = visit(tab, url, PHONE)
    assert (cold.shifts, warm.shifts, cold.loaded_at_first_paint) == (0, 0, 0)
    assert [(one.width, one.offered) for one in cold.pictures] == [
        (1200, [300, 800, 1200, 1600]), (512, [300, 512]), (900, [300, 800, 900]),
    ]  # fmt: skip
    assert not any(one.is_too_large for one in (*cold.pictures, *warm.pictures))
    seen = [(one.placeholder, one.blank) for one in cold.pictures if one.placeholder is not None and one.blank]
    assert len(seen) >= 2
    assert max(placeholder for placeholder, _ in seen) < 6
    assert min(blank for _, blank in seen) > 30
    assert (warm.picture_bytes, warm.from_cache) == (0, len(pictures))


def test_a_page_without_dimensions_and_placeholders_is_seen_to_move_and_to_be_blank(
    tmp_path: Path, gallery: tuple[list[dict[str, Any]], str]
) -> None:
    pictures, base = gallery
    without = page(pictures, base=base).replace(b' width="', b' data-w="').replace(b' style="', b' data-s="')
    with served(without.replace(b' height="', b' data-h="')) as url, browsing(tmp_path, PHONE) as tab:
        cold = visit(tab, url, PHONE, holds_pictures=True)
    assert cold.shift > 0
    assert all(one.placeholder > 30 for one in cold.pictures if one.placeholder is not None)
