"""Queues, stores, checkpoints and reports of an older version are read by this one; `old_data/make.py` made them.

And the other way round: the queue that this version writes is read by that older one.
"""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from loadtest.servers.receiver import receiving
from loadtest.servers.service import Service, signed, started
from tests.old_data.copies import copy
from tests.old_data.make import RECEIVER, SIZES, original, post, put, put_broken, work_jobs
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

OLDER = "99a1d56"
"""The commit whose data `old_data` has."""

Json = dict[str, Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Lend a service on the old queue and store that works no jobs; tests only ask it."""
    folder = copy("service", tmp_path_factory.mktemp("old") / "service")
    settings = {"SIZES_FILE": str(folder / "sizes.toml"), "WORKERS": "0", "CALLBACK_HOSTS": RECEIVER}
    with started(Service(folder=folder, settings=settings)) as one:
        yield one


def list_jobs(service: Service) -> dict[str, Json]:
    """Return the jobs by the keys of their originals."""
    page = httpx.get(f"{service.url}/v1/jobs", headers=signed(b"GET /v1/jobs")).raise_for_status().json()
    return {job["key"]: job for job in page["jobs"]}


def run(folder: Path, *words: str, code: int = 0, **settings: str) -> list[Json]:
    """Run a command in a copied folder, which has to end with `code`; return its events."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "STORE": "file://store",
        "SIZES_FILE": "sizes.toml",
        **settings,
    }
    command = [sys.executable, "-m", "proxy", *words, "--json"]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert ended.returncode == code, ended.stderr.decode()
    return [msgspec.json.decode(line) for line in ended.stdout.splitlines()]


def named(events: list[Json], name: str) -> list[Json]:
    return [event for event in events if event["event"] == name]


def results(events: list[Json]) -> dict[str, str]:
    """Return what came of each original."""
    return {event["key"]: event["result"] for event in named(events, "original")}


# The queue


def test_jobs_of_an_old_queue_are_listed_with_their_statuses(service: Service) -> None:
    jobs = list_jobs(service)
    statuses = {key: job["status"] for key, job in jobs.items()}
    taken = statuses.pop(original(4))
    assert statuses == {original(1): "done", original(2): "error", original(3): "queued", original(5): "queued"}
    assert taken in ("processing", "queued"), "its process is dead, so it is queued again at some time"


def test_a_done_job_of_an_old_queue_has_its_derivatives_and_timings(service: Service) -> None:
    done = list_jobs(service)[original(1)]
    assert [(one["size"], one["width"], one["height"]) for one in done["derivatives"]] == [
        ("small", 60, 40),
        ("large", 240, 160),
    ]
    assert done["timings"]["render_seconds"] > 0
    assert (done["attempts"], done["error"], done["retry"]) == (1, None, None)


def test_a_failed_job_and_one_that_is_retried_later_say_why(service: Service) -> None:
    jobs = list_jobs(service)
    assert jobs[original(2)]["error"]["code"] == "not-an-image"
    assert jobs[original(3)]["error"] is None
    assert jobs[original(3)]["retry"]["code"] == "not-found"
    assert jobs[original(3)]["retry"]["at"]


@pytest.mark.anyio
async def test_jobs_of_an_old_queue_are_done_and_the_callbacks_that_are_owed_delivered(tmp_path: Path) -> None:
    folder = copy("service", tmp_path / "service")
    put(folder, 3)
    with receiving() as receiver:
        with closing(sqlite3.connect(folder / "queue.db", isolation_level=None)) as connection:
            connection.execute("UPDATE jobs SET body = replace(body, ?, ?)", (RECEIVER, receiver.listed))
        settings = {"SIZES_FILE": str(folder / "sizes.toml"), "WORKERS": "1", "CALLBACK_HOSTS": receiver.listed}
        with started(Service(folder=folder, settings=settings)) as service:

            async def all_ended() -> dict[str, Json] | None:
                jobs = list_jobs(service)
                return jobs if {job["status"] for job in jobs.values()} == {"done", "error"} else None

            jobs = await until(all_ended)
            statuses = {key: job["status"] for key, job in jobs.items()}
            assert statuses == {original(number): "error" if number == 2 else "done" for number in range(1, 6)}
            called = {jobs[original(number)]["id"] for number in (1, 2, 5)}
            assert receiver.wait_for(called, seconds=30)
        assert receiver.jobs() == called
        assert receiver.forged == 0


# The way back: the older version reads what this one wrote


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the code of version 0.2.0, out of the history of this repository."""
    command = ["git", "-C", str(ROOT), "archive", OLDER, "proxy", "pipeline", "config"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"needs commit {OLDER} in the history of the repository")
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as code:
        code.extractall(folder, filter="data")
    return folder


def purge(client: httpx.Client, number: int) -> None:
    address = f"/v1/derivatives/{original(number)}"
    client.delete(address, headers=signed(f"DELETE {address}".encode())).raise_for_status()


@pytest.mark.anyio
async def test_an_older_version_reads_and_works_the_queue_of_this_one(tmp_path: Path, older: Path) -> None:
    sizes = tmp_path / "sizes.toml"
    sizes.write_text(SIZES)
    settings = {"SIZES_FILE": str(sizes), "WORKERS": "1", "CALLBACK_HOSTS": RECEIVER}
    for number in (1, 2):
        put(tmp_path, number)
    put_broken(tmp_path, 4)
    with started(Service(folder=tmp_path, settings=settings)) as service, httpx.Client(base_url=service.url) as client:
        work_jobs(client, done=1, failed=4, absent=3)
        purge(client, 2)
    idle = {**settings, "WORKERS": "0"}
    with started(Service(folder=tmp_path, settings=idle)) as service, httpx.Client(base_url=service.url) as client:
        deferred = post(client, 2)
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as connection:  # as a worker stores it
        connection.execute(
            "UPDATE jobs SET owner = 'deferred', body = json_set(body, '$.priority', 1) WHERE key = ?", (deferred,)
        )
    put(tmp_path, 3)
    back = Service(
        folder=tmp_path,
        settings={**settings, "PYTHONPATH": str(older)},
        program=("env", "-C", str(older), sys.executable, "-P", "-m", "proxy"),
    )
    with started(back) as service:
        assert all("put_off" in job for job in list_jobs(service).values()), "the name of `retry` in that version"
        assert {key: job["status"] for key, job in list_jobs(service).items() if key in (original(1), original(4))} == {
            original(1): "done",
            original(4): "error",
        }

        async def all_ended() -> bool:
            return {job["status"] for job in list_jobs(service).values()} == {"done", "error"}

        await until(all_ended)
        assert list_jobs(service)[original(2)]["id"] == deferred
        assert [job["status"] for job in list_jobs(service).values()].count("error") == 1
    assert '"unexpected_error"' not in (tmp_path / "log.jsonl").read_text()


# The store


def test_derivatives_of_an_old_store_are_served_with_what_is_known_of_them(service: Service) -> None:
    page_view = httpx.get(f"{service.url}/img/{original(1)}/small")
    assert (page_view.status_code, page_view.headers["location"]) == (302, "/files/gall/1/1_small.jpg")
    file = httpx.head(f"{service.url}/files/gall/1/1_small.jpg")
    assert (file.headers["content-type"], file.headers["cache-control"]) == ("image/jpeg", "public, max-age=86400")


def test_derivatives_of_an_old_store_are_fresh(tmp_path: Path) -> None:
    folder = copy("compare", tmp_path / "compare")
    assert results(run(folder, "reprocess", "--dry-run", SHADOW_PREFIX="shadow/")) == {
        original(number): "fresh" for number in range(1, 7)
    }


# The runs


def test_an_old_run_goes_on_behind_what_was_over(tmp_path: Path) -> None:
    folder = copy("reprocess", tmp_path / "reprocess")
    (failures,) = folder.glob("state/failures-*.jsonl")
    events = run(folder, "reprocess", "--state", "state", "--max-failures", "100%")
    (start,), (ended,) = named(events, "started"), named(events, "ended")
    assert (start["resumed"], start["after"]) == (True, original(2))
    assert results(events) == {original(number): "rendered" for number in (3, 5, 6)}
    assert (ended["rendered"], ended["failed"], ended["faults"]) == (5, 1, {"not-an-image": 1})
    assert ended["failures"] == f"state/{failures.name}"


def test_an_old_file_of_failures_names_what_is_tried_again(tmp_path: Path) -> None:
    folder = copy("reprocess", tmp_path / "reprocess")
    (failures,) = folder.glob("state/failures-*.jsonl")
    assert results(run(folder, "reprocess", "--retry-failed", str(failures), "--dry-run")) == {original(2): "due"}


def test_an_old_comparison_goes_on_behind_what_was_over(tmp_path: Path) -> None:
    folder = copy("compare", tmp_path / "compare")
    sides = "compare", "--old", "prefix:", "--new", "prefix:shadow/", "--processes", "1"
    events = run(folder, *sides, "--report", "unfinished", code=1)
    (start,), (ended,) = named(events, "started"), named(events, "ended")
    assert start["already_compared"] == 1
    assert {event["key"] for event in named(events, "differs")} == {original(number) for number in range(2, 7)}
    assert (ended["originals"], ended["alike"], ended["different"]) == (6, 5, 7)
    old, new = (
        msgspec.json.decode((folder / name / "report.json").read_bytes()) for name in ("finished", "unfinished")
    )
    assert new["originals"] == old["originals"]
    assert new["causes"] == old["causes"]


def test_what_passed_an_old_comparison_is_promoted(tmp_path: Path) -> None:
    folder = copy("compare", tmp_path / "compare")
    before = {path: path.read_bytes() for path in folder.glob("store/gall/*/*_small.jpg")}
    events = run(folder, "promote", "--report", "finished", "--allow", "old-missing", SHADOW_PREFIX="shadow/")
    (ended,) = named(events, "ended")
    assert (ended["is_finished"], ended["failed"]) == (True, 0)
    promoted = folder / "store/gall/2/2_large.jpg"
    assert promoted.read_bytes() == (folder / "store/shadow/gall/2/2_large.jpg").read_bytes()
    assert {path: path.read_bytes() for path in before} == before, "all of these are other pictures"
