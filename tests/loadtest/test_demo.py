"""`make demo`, as a person runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_it_paints_a_photograph_and_shows_four_derivatives(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "loadtest.demo", "--out", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert shown.returncode == 0, shown.stderr
    rows = re.findall(r"(small|medium|large|xlarge).*?(\d+) x (\d+)", shown.stdout)
    assert rows == [
        ("small", "300", "225"),
        ("medium", "800", "600"),
        ("large", "1200", "900"),
        ("xlarge", "2000", "1500"),
    ]
    page = tmp_path / "demo" / "index.html"
    assert page.as_uri() in shown.stdout
    check_page(page)


def check_page(page: Path) -> None:
    """Check that the page shows the pictures beside it, and requests nothing else."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r'(?:src|href)="([^"]+)"', text)) | set(re.findall(r"(\S+) \d+w", text))
    named = {name.removeprefix('srcset="').removeprefix("srcset=&quot;") for name in named}
    assert named == {"original.jpg", "small.jpeg", "medium.jpeg", "large.jpeg", "xlarge.jpeg"}
    assert all((page.parent / name).is_file() for name in named)
    assert not re.search(r"https?://|url\(|<script", text)
    assert re.findall(r"<td>(yes|no)", text) == ["yes", "no", "no", "no", "no"]
    assert 'width="2000" height="1500"' in text


def test_a_photograph_that_is_not_there_is_said_in_a_sentence() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "loadtest.demo", "--photo", "nowhere.jpg"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 2
    assert "nowhere.jpg" in shown.stderr
