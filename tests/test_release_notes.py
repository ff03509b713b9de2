"""The notes of a release are what the changelog says of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
CHANGELOG = """# Changelog

## [Unreleased]

## [1.10.0] - 2026-12-01

### Added

- A thing, described
  in two lines.

### Fixed

- A fault.

## [1.1.0] - 2026-11-01

- Another thing.

## [1.0.0]
"""


def notes(folder: Path, version: str, ours: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script in a project with a changelog of its own."""
    (folder / ".ci").mkdir(exist_ok=True)
    shutil.copy(ROOT / ".ci" / "release-notes", folder / ".ci")
    (folder / "pyproject.toml").write_text(f'[project]\nname = "a"\nversion = "{ours or version.removeprefix("v")}"\n')
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    words = [str(folder / ".ci" / "release-notes"), version]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_notes_are_the_lines_below_the_heading_of_the_version(tmp_path: Path) -> None:
    done = notes(tmp_path, "v1.10.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "### Added\n\n- A thing, described\n  in two lines.\n\n### Fixed\n\n- A fault.\n"
    assert notes(tmp_path, "v1.1.0").stdout == "- Another thing.\n"


@pytest.mark.parametrize("version", ["v1.10", "v1", "v2.0.0", "v1.0.0", "vUnreleased"])
def test_a_version_without_notes_is_not_released(tmp_path: Path, version: str) -> None:
    done = notes(tmp_path, version)
    assert (done.returncode, done.stdout) == (1, "")
    assert "CHANGELOG.md has nothing about" in done.stderr


def test_a_tag_of_another_version_than_that_of_the_package_is_not_released(tmp_path: Path) -> None:
    done = notes(tmp_path, "v1.10.0", ours="1.9.9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pyproject.toml has version 1.9.9, not 1.10.0" in done.stderr


def test_the_version_of_this_project_has_notes() -> None:
    done = subprocess.run([ROOT / ".ci" / "release-notes", f"v{VERSION}"], capture_output=True, text=True, check=True)
    assert re.search(r"^- ", done.stdout, re.MULTILINE)
    assert "\n## " not in done.stdout


def test_the_release_is_made_with_these_notes_and_not_built_without_them() -> None:
    workflow = msgspec.yaml.decode((ROOT / ".github" / "workflows" / "release.yml").read_bytes())
    steps = {name: [step.get("run", "") for step in job.get("steps", [])] for name, job in workflow["jobs"].items()}
    first = next(step for step in steps["image"] if step)
    assert first.startswith('.ci/release-notes "$GITHUB_REF_NAME"')
    (published,) = [step for step in steps["release"] if "gh release create" in step]
    assert '.ci/release-notes "$GITHUB_REF_NAME"' in published
    assert "--notes-file" in published
