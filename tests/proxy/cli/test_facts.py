"""`gf-images facts`: for people, and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint

if TYPE_CHECKING:
    from pathlib import Path


def facts(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", "facts", *map(str, arguments)],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_people_and_machines_get_the_facts_of_each_file(tmp_path: Path) -> None:
    photo, text = tmp_path / "photo.jpg", tmp_path / "text.jpg"
    paint(photo, Photograph(width=40, height=30, gps=True))
    text.write_text("no image")
    shown = facts(photo, text, tmp_path / "missing.jpg")
    assert shown.returncode == 1
    lines = dict(line.strip().split("  ", 1) for line in shown.stdout.splitlines()[1:])
    assert lines["camera"].strip() == "Painted Gall Camera"
    assert lines["creator"].strip() == "A. Painter"
    assert "altitude" in lines["place"] or lines["place"]
    assert [line.rpartition(": ")[0] for line in shown.stderr.splitlines()] == [
        str(text),
        str(tmp_path / "missing.jpg"),
    ]
    first, second = map(json.loads, facts("--json", photo, text).stdout.splitlines())
    assert (first["file"], first["format"], first["creator"]) == (str(photo), "jpeg", "A. Painter")
    assert second["file"] == str(text)
    assert "not an image" in second["refusal"]


@pytest.mark.slow
def test_a_file_name_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    photo, missing = tmp_path / "a\x1b[2J\u202eb.jpg", tmp_path / "c\nd.jpg"
    paint(photo, Photograph(width=40, height=30))
    shown = facts(photo, missing)
    assert shown.stdout.splitlines()[0] == rf"{tmp_path}/a\x1b[2J\u202eb.jpg"
    assert shown.stderr.startswith(rf"{tmp_path}/c\nd.jpg: ")
    assert json.loads(facts("--json", photo).stdout)["file"] == str(photo)
