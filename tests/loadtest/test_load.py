"""`make loadtest`, as a person runs it, with little load; bars of time are left to machines that do nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from loadtest.scenarios import PEOPLE
from loadtest.servers.ports import free_port
from loadtest.servers.service import SECRET, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(400)

ORIGIN = "https://images.example"


def load(folder: Path, *words: str, origin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtest", "--out", str(folder / "reports"), *words],
        env={**os.environ, "WEBHOOK_SECRET": SECRET, "PUBLIC_ORIGIN": origin},
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )


def missed(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """Give the bars that were missed, without those of time."""
    lines = [line for line in ended.stdout.splitlines() if line.startswith("MISSED")]
    assert ended.returncode == bool(lines), ended.stdout + ended.stderr
    return [line for line in lines if "p99" not in line]


def test_every_scenario_runs_on_a_service_of_its_own_within_its_bound(tmp_path: Path) -> None:
    ended = load(tmp_path, "--megapixels", "0.5", "--jobs", "40", "--views", "100")
    assert missed(ended) == [], ended.stdout + ended.stderr
    assert ended.stdout.count("met    processes killed for want of memory: 0") == len(PEOPLE)
    assert ended.stdout.count("met    jobs not done: 0") == 2
    assert ended.stdout.count("met    views not answered well: 0") == 3
    reports = sorted(path.name.partition("-")[0] for path in (tmp_path / "reports").glob("*.html"))
    assert reports == sorted(PEOPLE)


def test_a_service_elsewhere_is_loaded_with_originals_that_are_taken_away_again(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        words = "webhook_burst", "--url", service.url, "--store", f"file://{service.store}"
        ended = load(tmp_path, *words, "--jobs", "5", "--megapixels", "0.5")
        assert missed(ended) == [], ended.stdout + ended.stderr
        assert not [*service.store.rglob("*_original.jpg")]
        assert not [*service.store.rglob("*_small.jpg")]


@pytest.mark.parametrize(("origin", "status"), [(ORIGIN, 0), ("https://another.example", 1)])
def test_requests_without_a_body_are_signed_for_the_public_origin_of_the_service(
    tmp_path: Path, origin: str, status: int
) -> None:
    with running(tmp_path, PUBLIC_ORIGIN=ORIGIN) as service:
        words = "cold_views", "--url", service.url, "--store", f"file://{service.store}"
        ended = load(tmp_path, *words, "--views", "4", "--megapixels", "0.5", origin=origin)
        left = [*service.store.rglob("*_small.jpg")]
    assert (bool(missed(ended)), bool(left)) == (bool(status), bool(status)), ended.stdout + ended.stderr


def test_jobs_that_fail_miss_the_bar_and_end_with_1(tmp_path: Path) -> None:
    with running(tmp_path, MAX_PIXELS="1000000") as service:
        words = "webhook_burst", "--url", service.url, "--store", f"file://{service.store}"
        ended = load(tmp_path, *words, "--jobs", "3", "--megapixels", "2")
    assert ended.returncode == 1


def test_a_service_elsewhere_takes_a_secret() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "loadtest", "--url", "http://127.0.0.1:9"],
        env={name: value for name, value in os.environ.items() if name != "WEBHOOK_SECRET"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, "WEBHOOK_SECRET is not set" in ended.stderr) == (2, True)


def test_where_no_service_answers_that_is_said_before_anything_is_put_into_its_store(tmp_path: Path) -> None:
    words = "webhook_burst", "--url", f"http://127.0.0.1:{free_port()}", "--store", f"file://{tmp_path}/store"
    ended = load(tmp_path, *words)
    assert (ended.returncode, "no service answers" in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("words", [("--megapixels", "0"), ("--jobs", "-1"), ("--views", "-1"), ("--seconds", "0")])
def test_a_load_that_cannot_be_is_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    ended = load(tmp_path, *words)
    assert (ended.returncode, words[0] in ended.stderr) == (2, True)
