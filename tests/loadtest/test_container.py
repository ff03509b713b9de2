"""What is looked for in an image that was unpacked."""

from __future__ import annotations

import re
from pathlib import Path

from loadtest.image.container import unnamed

NOTICE = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")


def test_a_package_of_the_system_that_notice_does_not_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "NOTICE").write_text(NOTICE, encoding="utf-8")
    for package in ("libc6", "newcomer", "libssl3"):
        (tmp_path / "usr/share/doc" / package).mkdir(parents=True)
    assert unnamed(tmp_path) == ["newcomer"]


def test_a_package_is_named_as_a_whole_and_not_by_a_part_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "NOTICE").write_text(re.sub("    libc6 ", "    libc6-dev ", NOTICE), encoding="utf-8")
    (tmp_path / "usr/share/doc/libc6").mkdir(parents=True)
    assert unnamed(tmp_path) == ["libc6"]
