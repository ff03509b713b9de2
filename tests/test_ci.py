"""What CI promises is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_test_skipped_for_want_of_a_program_fails_ci() -> None:
    (pattern,) = re.findall(r"grep -E '(\^SKIPPED[^']*)'", (ROOT / ".ci" / "run").read_text())
    skips = [
        (path.name, reason)
        for path in (ROOT / "tests").rglob("*.py")
        for reason in re.findall(r'pytest\.skip\(f?"([^"]*)"', path.read_text())
        if "install" in reason
    ]
    assert {name for name, _ in skips} == {"conftest.py"}
    for name, reason in skips:
        assert re.search(pattern, f"SKIPPED [1] tests/{name}:22: {reason}"), reason


def test_coverage_is_measured_and_has_its_threshold_in_ci_alone() -> None:
    assert "export CI=true" in (ROOT / ".ci" / "run").read_text()
    commands = {ci: commands_of("check", CI=ci) for ci in ("true", "")}
    assert "-m pytest -n auto --junit-xml=build/tests.xml --cov --cov-report=\n" in commands["true"]
    assert "-m coverage report --fail-under=90\n" in commands["true"]
    assert "-m pytest -n auto --junit-xml=build/tests.xml \n" in commands[""]
    assert "coverage" not in commands[""]


def test_everything_is_tried_more_often_every_night() -> None:
    assert "THOROUGH=true" not in (ROOT / ".ci" / "run").read_text()
    workflow = (ROOT / ".github" / "workflows" / "explore.yml").read_text()
    assert "THOROUGH=true .ci/run" in workflow


def commands_of(target: str, **variables: str) -> str:
    """Give what a target runs."""
    words = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.check_output(["make", "--dry-run", target, *words], cwd=ROOT, text=True)


def test_every_image_that_ci_runs_is_pinned_to_its_bytes() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "minio" in workflow
    assert not re.search(r"image: \S", workflow)
    images = re.findall(r"\S+/\S+:[A-Z]\S+", workflow)
    assert images
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in images)


def test_what_the_service_of_a_machine_is_set_to_changes_no_test() -> None:
    told = {**os.environ, "PORT": "18080", "S3_BUCKET": "elsewhere", "STORE_FILE": "/nowhere"}
    words = "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/config/test_fly.py", "tests/test_image.py"
    ended = subprocess.run(
        [sys.executable, *words, "-k", "environment or image_sets"],
        cwd=ROOT,
        env=told,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
