"""NOTICE names everything that is installed with the service, with its licence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.licences import faults, locked, named, said

ROOT = Path(__file__).parents[1]
NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")


def test_all_that_is_locked_is_named_with_the_licence_that_it_says_it_has() -> None:
    description = {name: said(name) for name in locked(REQUIREMENTS)}
    assert sum(map(bool, description.values())) > 50, "nearly all of them are installed where tests run"
    assert [*faults(NOTICE, REQUIREMENTS, description)] == []


@pytest.mark.parametrize(
    ("more", "description", "fault"),
    [
        ("newcomer==1.0 \\\n", {}, "newcomer is not named"),
        ("", {"click": "AGPL-3.0-only"}, "click: it says AGPL-3.0-only, and NOTICE BSD-3-Clause"),
        ("", {"rich": "GPL-3.0"}, "rich: it says GPL-3.0, and NOTICE MIT"),
    ],
)
def test_what_is_not_named_or_has_another_licence_is_a_fault(
    more: str, description: dict[str, str], fault: str
) -> None:
    assert [*faults(NOTICE, REQUIREMENTS + more, description)] == [fault]


def test_a_licence_is_the_same_however_an_older_package_says_it() -> None:
    description = {"async-timeout": "Apache 2", "uvloop": "Apache Software License AND MIT License"}
    assert [*faults(NOTICE, REQUIREMENTS, description)] == []


def test_what_is_installed_no_more_or_cannot_be_taken_is_a_fault() -> None:
    notice = re.sub("    rich   ", "    rich-old   ", NOTICE, count=1)
    notice = re.sub("click +BSD", "click   GPL", notice, count=1)
    found = [*faults(notice, REQUIREMENTS, {})]
    assert "rich is not named" in found
    assert "rich-old is named, and is not installed" in found
    assert any(fault.startswith("click: GPL-3-Clause is none") for fault in found)


@pytest.mark.parametrize("licence", ["GNU LESSER GENERAL PUBLIC LICENSE", "GNU GENERAL PUBLIC LICENSE"])
def test_the_texts_that_have_to_travel_along_are_there(licence: str) -> None:
    assert licence in NOTICE
    assert {name for name, one in named(NOTICE).items() if "LGPL" in one} == {
        "psycopg",
        "psycopg-binary",
        "psycopg-pool",
        "pyvips-binary",
    }
