"""The pre-commit hooks run the checks of the Makefile and download nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
CONFIGURATION: dict[str, Any] = msgspec.yaml.decode((ROOT / ".pre-commit-config.yaml").read_bytes())
HOOKS: list[dict[str, Any]] = [hook for repository in CONFIGURATION["repos"] for hook in repository["hooks"]]


def test_every_hook_is_local_and_needs_no_environment_of_its_own() -> None:
    assert {repository["repo"] for repository in CONFIGURATION["repos"]} == {"local"}
    assert {hook["language"] for hook in HOOKS} == {"system"}


def test_every_hook_is_a_target_that_make_check_runs_too() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (checked,) = re.findall(r"^check: ([a-z -]+)", makefile, re.MULTILINE)
    entries = [hook["entry"].removeprefix("make ") for hook in HOOKS]
    assert entries
    assert {*entries} <= {*checked.split()}
