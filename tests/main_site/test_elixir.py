"""The main site's half in Elixir, by its own tests, against a running service and against servers with faults."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.ports import free_port
from loadtest.servers.service import SECRET, running
from tests.clients.test_python import BAD_SECRETS
from tests.clients.vectors import VECTORS

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "docs" / "main-site" / "elixir"
BUILT = ROOT / "build" / "main-site-elixir"

pytestmark = [
    pytest.mark.skipif(not shutil.which("mix"), reason="needs elixir: apt-get install elixir"),
    pytest.mark.timeout(1000),
]


def mix(*words: str, environment: Mapping[str, str]) -> str:
    """Run mix on the project without its user's settings; return its output."""
    ended = subprocess.run(
        ["mix", *words],
        cwd=PROJECT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(BUILT),
            "MIX_BUILD_PATH": str(BUILT / "test"),
            "MIX_ENV": "test",
            "LANG": "C.UTF-8",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_the_sites_half_orders_falls_back_and_loses_no_upload(tmp_path: Path) -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    port = free_port()
    paint(tmp_path / "photo.jpg", Photograph(width=600, height=450, orientation=6, gps=True))
    (tmp_path / "text.jpg").write_text("this is not a picture")
    # Without the cache, a takedown need not wait a minute until other processes have forgotten the picture.
    with running(tmp_path, CALLBACK_HOSTS=f"http://127.0.0.1:{port}", STREAM_CACHE_MB="0") as service:
        output = mix(
            "do",
            *("format", "--check-formatted", "+"),
            *("compile", "--warnings-as-errors", "+"),
            *("test", "--warnings-as-errors"),
            environment={
                "SERVICE_URL": service.url,
                "WEBHOOK_SECRET": SECRET,
                "STORE": str(service.store),
                "PHOTO": str(tmp_path / "photo.jpg"),
                "NO_PHOTO": str(tmp_path / "text.jpg"),
                "CALLBACK_PORT": str(port),
                "VECTORS": str(VECTORS),
                "BAD_SECRETS": json.dumps(BAD_SECRETS),
            },
        )
    assert re.search(r"\b0 failures\b", output), output
    assert not re.search(r"skipped|excluded", output), output


def test_it_needs_no_package() -> None:
    assert "deps: []" in (PROJECT / "mix.exs").read_text(encoding="utf-8")
    assert not (PROJECT / "mix.lock").exists()
