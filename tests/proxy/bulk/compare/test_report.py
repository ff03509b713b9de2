"""The content of a report and of its folder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.bulk.compare.causes import TITLES
from proxy.bulk.own_folder import MARKER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy.bulk.compare.conftest import Compare, Comparison


def test_a_report_is_one_folder_that_shows_what_differs_the_worst_first(found: Comparison) -> None:
    left = sorted(path.name for path in found.folder.iterdir())
    assert left == [MARKER, "index.html", "pictures", "report.json"]
    pictures = {path.name for path in (found.folder / "pictures").iterdir()}
    assert set(re.findall(r'<img src="pictures/([^"]+)"', found.page)) == pictures
    assert len(pictures) == 12 * 3 - 2 - 2  # none for the missing and the damaged copy, nor a difference to it
    document = msgspec.json.decode((found.folder / "report.json").read_bytes())
    severities = [finding["causes"][0]["severity"] for finding in document["findings"]]
    assert severities == sorted(severities, reverse=True)
    shown = re.findall(r'class="key">([^<]+)<', found.page)
    assert [finding["key"] for finding in document["findings"]] == shown
    assert document["causes"]["rotated"] == {"medium": 1}


def test_a_page_takes_nothing_from_elsewhere_and_runs_no_script(found: Comparison) -> None:
    assert "<script" not in found.page
    assert not re.search(r"(src|href)=\"(https?:)?//", found.page)
    assert "default-src 'none'" in found.page


@pytest.mark.parametrize("cause", ["rotated", "old-blurred", "cache-control"])
def test_a_cause_has_a_choice_that_shows_its_findings_only(found: Comparison, cause: str) -> None:
    assert f'id="f-{cause}"' in found.page
    assert f"#f-{cause}:checked ~ main .finding:not(.c-{cause}) {{ display: none; }}" in found.page
    assert len(re.findall(rf'class="finding[^"]* c-{cause}"', found.page)) == 1
    assert f"<b>{TITLES[cause]}</b>" in found.page


def test_a_key_is_shown_as_text_whatever_it_holds(compare: Compare, tmp_path: Path) -> None:
    name = "<img onerror=alert(1)>"
    for side in ("old", "new"):
        (tmp_path / side).mkdir()
        (tmp_path / side / f"{name}_original.jpg").write_bytes(b"an original")
    (tmp_path / "old" / f"{name}_small.jpg").write_bytes(b"no picture")
    page = compare("old", "new").page
    assert "&lt;img onerror=alert(1)&gt;_original.jpg" in page
    assert name not in page
