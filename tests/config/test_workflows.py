"""GitHub's workflows, issue forms and dependabot.yml fit their schemas; each action is pinned to a commit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40} # v?\d[\w.]*")


def check(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_fits_its_schema(path: Path) -> None:
    ended = check(path, "vendor.github-workflows")
    assert ended.returncode == 0, ended.stdout


def test_dependabot_fits_its_schema() -> None:
    ended = check(ROOT / ".github" / "dependabot.yml", "vendor.dependabot")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", ["bug_report.yml", "feature_request.yml"])
def test_an_issue_form_fits_its_schema(name: str) -> None:
    ended = check(FORMS / name, "vendor.github-issue-forms")
    assert ended.returncode == 0, ended.stdout


def test_the_list_of_issue_forms_fits_its_schema() -> None:
    ended = check(FORMS / "config.yml", "vendor.github-issue-config")
    assert ended.returncode == 0, ended.stdout


def test_a_workflow_that_does_not_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "run-on:"), encoding="utf-8")
    assert check(wrong, "vendor.github-workflows").returncode == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_action_is_pinned_to_a_commit(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert [one for one in used if not one.startswith("./") and not PINNED.fullmatch(one)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_target_that_is_made_is_there(path: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for line in re.findall(r"run: make ([a-z -]+)", path.read_text(encoding="utf-8")):
        assert {*line.split("#")[0].split()} <= {*targets}, line
